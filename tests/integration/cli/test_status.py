"""`status`: what waits, since when, and who works on it, of a real Redis and of the whole product."""

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

from apitraffic_events.errors import RateLimit
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.retries import what_to_check
from receiver.events import Delivery
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import DEAD_LETTER_LIFETIME, delivery_queue, job_of
from receiver.reception.quarantine import Quarantine
from receiver.reception.spool import Spool
from tests.support.changes import change
from tests.support.command import Command
from tests.support.github import deployment_status, post
from tests.support.processes import started
from tests.support.redis import redis_process
from tests.support.stack import Stack
from tests.support.waiting import wait_until

FIELDS = [
    *("at", "redis", "spool", "queues", "oldest_at", "oldest_age_s", "delivered_last_hour", "paused"),
    *("budget", "dead_letters", "quarantined", "workers"),
]

Status = Callable[..., Result]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def status(run: Command, redis_url: str, tmp_path: Path) -> Status:
    """`status("--json")`."""

    def call(*arguments: str, **variables: str) -> Result:
        own = {"REDIS_URL": redis_url, "APITRAFFIC_SPOOL": str(tmp_path / "spool.sqlite")}
        result = run("status", *arguments, environment=own | variables)
        assert "Traceback" not in result.output
        return result

    return call


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    whole: dict[str, Any] = json.loads(result.stdout)
    assert list(whole) == FIELDS
    return whole


def line(result: Result, label: str) -> str:
    found = re.search(rf"^{label} +(.*)$", result.stdout, re.MULTILINE)
    assert found, result.stdout
    return found[1]


def test_where_nothing_ever_was(redis: Redis, status: Status) -> None:
    whole = told(status("--json"))
    assert [queue["name"] for queue in whole["queues"]] == ["urgent", "deliveries"]
    assert whole["oldest_at"] is whole["oldest_age_s"] is whole["paused"] is whole["budget"] is None
    assert whole["delivered_last_hour"] == whole["dead_letters"] == whole["quarantined"] == 0
    assert whole["workers"] == []
    assert line(status(), "Workers").startswith("none; start one")


def test_what_waits_and_since_when(redis: Redis, status: Status) -> None:
    Enqueuer(redis).enqueue([change("point", delivery="first")])
    Enqueuer(redis).enqueue([change("close", delivery="second", type="incident")])
    later = job_of(change("point"), "third", delivery_queue(redis))
    later.created_at = now() - timedelta(hours=3)
    later.save()
    delivery_queue(redis).scheduled_job_registry.schedule(later, now() + timedelta(minutes=5))
    whole = told(status("--json"))
    counts = [(queue["waiting"], queue["in_work"], queue["to_retry"]) for queue in whole["queues"]]
    assert counts == [(1, 0, 0), (1, 0, 1)]
    assert whole["oldest_at"] == whole["queues"][1]["oldest_at"]
    assert timedelta(hours=3).total_seconds() <= whole["oldest_age_s"] < timedelta(hours=4).total_seconds()
    shown = status()
    assert line(shown, "Oldest") == "accepted 3 h ago"
    lines = shown.stdout.splitlines()
    first = next(number for number, text in enumerate(lines) if text.startswith("Next "))
    assert re.search(r"close \S+ +\d+ s ago$", lines[first])
    assert re.search(r"point \S+ +\d+ s ago$", lines[first + 1])
    assert re.search(r"point \S+ +again in (5|4 min)", lines[first + 2])
    assert max(map(len, lines[first : first + 3])) <= 80


def test_what_was_given_up_or_not_understood(redis: Redis, status: Status) -> None:
    queue = delivery_queue(redis)
    job = job_of(change("point"), "refused", queue)
    job.save()
    queue.failed_job_registry.add(job, ttl=DEAD_LETTER_LIFETIME)
    delivery = Delivery(source="github", id="1", event="release", headers={}, body=b"{}", received_at=now())
    Quarantine(redis).keep(delivery, "its state is missing")
    whole = told(status("--json"))
    assert (whole["dead_letters"], whole["quarantined"]) == (1, 1)
    assert line(status(), "Dead letters") == line(status(), "Quarantine") == "1"


def test_the_budget_and_its_reset(redis: Redis, status: Status) -> None:
    request_budget, reset = RequestBudget(redis), now().replace(microsecond=0) + timedelta(minutes=30)
    request_budget.after_answer(RateLimit(limit=1000, remaining=990, reset_at=reset))
    budget = told(status("--json"))["budget"]
    assert (budget["limit"], budget["remaining"], budget["blocked_until"]) == (1000, 990, None)
    assert line(status(), "Budget").startswith(f"990 of 1,000 requests left until {budget['reset_at']}, in ")
    request_budget.use_up(600)
    assert told(status("--json"))["budget"]["blocked_until"] is not None
    assert line(status(), "Budget").startswith("used up until ")


def test_why_nobody_delivers(redis: Redis, status: Status) -> None:
    RequestBudget(redis).pause("INVALID_TOKEN expired\n\x1b[31m", 60)
    paused = told(status("--json"))["paused"]
    assert paused["reason"] == "INVALID_TOKEN expired [31m"
    assert line(status(), "Paused").startswith(f"until {paused['until']}, in ")
    # As the worker's log says.
    assert f"→ {what_to_check(None)}" in status().stdout
    assert "check APITRAFFIC_API_TOKEN" in what_to_check(None)


def test_a_redis_without_memory_can_still_be_read(status: Status, redis: Redis) -> None:
    redis.config_set("maxmemory", "1")
    try:
        assert told(status("--json"))["redis"]["reachable"] is True
    finally:
        redis.config_set("maxmemory", "0")


def test_without_redis_the_spool_is_shown_all_the_same(run: Command, tmp_path: Path) -> None:
    spool = tmp_path / "spool.sqlite"
    Spool(spool).put((change("point"),))
    away = {"REDIS_URL": "redis://127.0.0.1:9/0", "APITRAFFIC_SPOOL": str(spool)}
    result = run("status", environment=away)
    assert result.exit_code == 5
    assert result.stderr.startswith(
        "Error: Redis could not be reached: no connection to 127.0.0.1:9: Connection refused; is REDIS_URL"
    )
    assert line(result, "Spool") == f"1 in {spool}"
    whole = json.loads(run("status", "--json", environment=away).stdout)
    assert list(whole) == FIELDS
    assert whole["redis"]["reachable"] is False
    assert whole["spool"] == {"path": str(spool), "deliveries": 1, "problem": None}
    assert whole["queues"] is None


def test_a_spool_that_cannot_be_read_is_said(redis: Redis, status: Status, tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"not a database, and longer than a header of one" * 50)
    whole = told(status("--json"))
    assert whole["spool"]["deliveries"] is None
    assert "not a database" in whole["spool"]["problem"]
    assert "not a database" in line(status(), "Spool")
    assert line(status(APITRAFFIC_SPOOL="off"), "Spool") == "off"


def test_without_an_address_it_is_not_configured(run: Command) -> None:
    result = run("status")
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: The queue is not configured: REDIS_URL is not set")


def test_it_looks_again_and_outlives_redis(tmp_path: Path) -> None:
    output, errors = tmp_path / "output", tmp_path / "errors"
    with (
        redis_process(tmp_path / "redis") as redis,
        output.open("wb") as out,
        errors.open("wb") as err,
        started(
            [sys.executable, "-m", "receiver", "status", "--watch", "--every", "0.1", "--json"],
            env={"REDIS_URL": redis.url, "APITRAFFIC_SPOOL": "off"},
            stdout=out,
            stderr=err,
        ) as process,
    ):

        def latest() -> dict[str, Any]:
            lines = output.read_text().splitlines()
            found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
            return found

        wait_until(lambda: latest().get("dead_letters") == 0, "the first look")
        redis.stop()
        wait_until(lambda: latest()["redis"]["reachable"] is False, "a look without Redis")
        redis.start()
        wait_until(lambda: latest()["redis"]["reachable"] is True, "a look at Redis again")
        wait_until(lambda: len(errors.read_text().splitlines()) == 2, "a word about it, which comes after it")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    away, back = errors.read_text().splitlines()
    assert "  Redis could not be reached: " in away
    assert away.endswith("? Trying again …")
    assert back.endswith("  It can be reached again.")
    assert "Traceback" not in errors.read_text()


def test_a_worker_and_what_it_delivered(stack: Stack, run: Command) -> None:
    stack.receiver.start()
    stack.worker.start()
    for number in (1, 2):
        assert post(stack.url, deployment_status(number)).status_code == 202
    wait_until(lambda: len(stack.events()) == 2 and stack.is_idle(), "delivered")

    def look() -> dict[str, Any]:
        return told(run("status", "--json", environment=stack.environment))

    wait_until(lambda: look()["delivered_last_hour"] == 2, "counted")
    wait_until(lambda: [worker["state"] for worker in look()["workers"]] == ["idle"], "idle again")
    whole = look()
    assert whole["workers"][0]["delivered"] == 2
    assert whole["budget"]["limit"] == 1_000_000
    stack.worker.stop()
    assert look()["workers"] == []
