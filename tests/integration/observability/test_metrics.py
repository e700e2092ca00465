"""What a scrape shows, from a real receiver of two processes and a real worker."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from receiver.config.settings import Settings
from receiver.delivery.budget import RequestBudget
from receiver.queue.queues import delivery_queue
from receiver.sources import SOURCES
from receiver.web.app import create_app
from tests.support.github import deployment_status, post
from tests.support.programs import Program
from tests.support.stack import Stack
from tests.support.waiting import wait_until

NUMBERS = itertools.count(1)
Figures = dict[tuple[str, str], float]


def figures(url: str) -> Figures:
    """(name, its labels' values, the source first) -> value."""
    answer = requests.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (
            sample.name.removeprefix("apitraffic_"),
            " ".join(sorted(sample.labels.values(), key=_not_a_source)),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _not_a_source(value: str) -> bool:
    return value not in SOURCES


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_both_processes_count_into_one_scrape_and_none_forgets_when_it_is_replaced(stack: Stack) -> None:
    stack.receiver.start()
    body = deployment_status(next(NUMBERS))
    for _ in range(20):
        assert post(stack.url, body, delivery="the-same").ok
    post(stack.url, b"{}", event="ping")
    post(stack.url, b'"broken', event="deployment_status")
    requests.post(f"{stack.url}/webhooks/github", data=body, timeout=30)
    requests.post(f"{stack.url}/webhooks/gitlab", data=body, timeout=30)
    before = figures(stack.url)
    assert before["deliveries_total", "github accepted"] == 1
    assert before["deliveries_total", "github duplicate"] == 19
    assert before["deliveries_total", "github ignored"] == 1
    assert before["deliveries_total", "github quarantined"] == before["quarantined", ""] == 1
    assert before["rejected_total", "github unauthorised"] == 1
    assert before["rejected_total", "gitlab source_off"] == 1
    assert before["accept_seconds_count", "github"] == before["translation_seconds_count", "github"] == 22
    assert before["storage_in_use", "redis"] == 1

    replaced = children(stack.receiver.pid)
    for child in replaced:
        os.kill(child, signal.SIGKILL)
    wait_until(
        lambda: len(set(children(stack.receiver.pid)) - set(replaced)) == len(replaced),
        "gunicorn replaces them",
    )
    post(stack.url, body, delivery="the-same")
    assert figures(stack.url)["deliveries_total", "github duplicate"] == 20


def test_a_workers_own_port_shows_tries_retries_and_dead_letters(stack: Stack) -> None:
    stack.receiver.start()
    worker = stack.program(
        "worker", "--metrics-port", "0", ready=r"metrics are shown host=\S+ port=(?P<port>\d+)"
    )
    stack.api.set_faults(["POST:status=503x1"])
    worker.start()
    assert worker.announced is not None
    url = f"http://127.0.0.1:{worker.announced['port']}"
    try:
        post(stack.url, deployment_status(next(NUMBERS)))
        wait_until(lambda: ("delivery_attempts_total", "created") in figures(url), "delivered")
        stack.api.set_faults(["POST:status=400"])
        post(stack.url, deployment_status(next(NUMBERS)))
        wait_until(lambda: ("dead_letters_total", "refused") in figures(url), "given up")
        shown = figures(url)
        assert shown["delivery_attempts_total", "not_yet"] == 1
        assert shown["delivery_attempts_total", "created"] == 1
        assert shown["retries_total", "serverfailed"] == 1
        assert shown["delivery_seconds_count", ""] == shown["delivery_lag_seconds_count", ""] == 1
        assert shown["dead_letters_total", "refused"] == 1
        wait_until(lambda: figures(stack.url)["dead_letters_kept", "deliveries"] == 1, "kept")
    finally:
        assert worker.stop() == 0


def test_what_waits_how_long_the_budget_and_the_pause_come_from_redis(stack: Stack) -> None:
    stack.receiver.start()
    post(stack.url, deployment_status(next(NUMBERS)))
    queue = delivery_queue(stack.redis)
    job = queue.fetch_job(queue.job_ids[0])
    assert job is not None
    stack.redis.hset(job.key, "created_at", "2026-01-01T00:00:00Z")
    request_budget = RequestBudget(stack.redis)
    request_budget.pause("refused", 60)
    stack.redis.hset("apitraffic:budget", mapping={"limit": 1000, "remaining": 40, "reset": 4_000_000_000})
    shown = figures(stack.url)
    assert shown["queue_depth", "deliveries"] == 1
    assert shown["queue_depth", "urgent"] == 0
    assert shown["queue_oldest_age_seconds", "deliveries"] > 86_400
    assert shown["delivery_paused", ""] == 1
    assert shown["budget_limit", ""] == 1000
    assert shown["budget_remaining", ""] == 40
    request_budget.resume()
    assert figures(stack.url)["delivery_paused", ""] == 0


def test_while_redis_is_away_a_scrape_says_so_and_what_the_spool_holds(stack: Stack) -> None:
    stack.receiver.start()
    stack.redis_process.stop()
    assert post(stack.url, deployment_status(next(NUMBERS))).status_code == 202
    shown = figures(stack.url)
    assert shown["storage_in_use", "spool"] == 1
    assert shown["storage_in_use", "redis"] == 0
    assert shown["spool_deliveries", ""] == 1
    assert shown["deliveries_total", "github accepted"] == 1
    assert not any(name.startswith(("queue", "budget", "dead", "delivery_")) for name, _ in shown)


def test_while_redis_has_no_memory_left_a_scrape_says_what_waits_in_it(stack: Stack) -> None:
    stack.receiver.start()
    post(stack.url, deployment_status(next(NUMBERS)))
    stack.redis.config_set("maxmemory", 1)
    shown = figures(stack.url)
    assert shown["storage_in_use", "spool"] == 1
    assert shown["queue_depth", "deliveries"] == 1


def test_with_a_token_configured_a_scrape_needs_it(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    settings = Settings.model_validate({"redis_url": redis_url, "metrics_token": "a-token-of-the-tests"})
    client = create_app(settings).test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    answer = client.get("/metrics", headers={"Authorization": "Bearer a-token-of-the-tests"})
    assert answer.status_code == 200
    assert b'apitraffic_storage_in_use{path="redis"} 1.0' in answer.data


def test_a_worker_whose_metrics_port_is_taken_says_so(stack: Stack) -> None:
    stack.receiver.start()
    port = stack.url.rpartition(":")[2]
    program = Program(
        Path(stack.environment["APITRAFFIC_SPOOL"]).with_name("taken.log"),
        stack.environment,
        *("worker", "--metrics-port", port),
        ready="Address already in use",
    )
    program.start()
    assert program.wait() == 1
    assert "--metrics-port" in program.log()
    assert "Traceback" not in program.log()
