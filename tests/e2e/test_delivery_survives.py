"""HTTP to Events API with every part a real process, and with parts of it killed on the way."""

import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from receiver.datastore.keys import MARKER_PREFIX
from receiver.queue.queues import delivery_queue
from receiver.reception.quarantine import Quarantine
from tests.support.disks import fill
from tests.support.github import deployment_status, post
from tests.support.stack import Stack
from tests.support.waiting import wait_until

DEPLOYMENT_IDS = itertools.count(1_000)


def accept(stack: Stack, count: int = 1) -> set[str]:
    """Post that many deploys; the marker keys they must become."""
    ids = list(itertools.islice(DEPLOYMENT_IDS, count))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: post(stack.url, deployment_status(number)), ids))
    assert {answer.status_code for answer in answers} == {202}
    return {f"github:deployment:{number}" for number in ids}


def assert_listed_once(stack: Stack, keys: set[str], timeout: float = 15.0) -> None:
    wait_until(stack.is_idle, lambda: f"the queue to be empty:\n{stack.worker.log()[-3000:]}", timeout)
    listed = [event["metadata"]["marker_key"] for event in stack.events()]
    assert sorted(listed) == sorted(keys)


def test_a_deployment_becomes_a_marker(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    assert_listed_once(stack, accept(stack))
    (event,) = stack.events()
    assert event["type"] == "deployment"
    assert event["name"] == "Deploy acme/checkout v2.3.1 to production"


def test_twenty_equal_deliveries_at_once_are_one_event(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    body = deployment_status(1)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: post(stack.url, body, delivery="the-same"), range(20)))
    assert_listed_once(stack, {"github:deployment:1"})


def test_a_deployment_that_several_hooks_report_is_one_event(stack: Stack) -> None:
    """Different delivery ids, one deployment: the marker key holds them together."""
    stack.receiver.start()
    stack.worker.start()
    body = deployment_status(2)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: post(stack.url, body), range(10)))
    assert_listed_once(stack, {"github:deployment:2"})


def test_what_was_accepted_without_a_worker_is_delivered_later(stack: Stack) -> None:
    stack.receiver.start()
    keys = accept(stack, 5)
    stack.receiver.stop()
    stack.worker.start()
    assert_listed_once(stack, keys)


def test_a_marker_with_many_changes_holds_up_no_other(stack: Stack) -> None:
    """Forty updates of one incident and twenty others, two workers, and an API that takes its time."""
    stack.environment |= {"EVENTS_WEBHOOK_SECRET": "a-secret-of-the-tests-0123456789"}
    stack.receiver.start()
    start = {"startedAt": "2026-01-10T10:00:00Z", "effect": "open"}
    busy = [{"key": "busy", "type": "incident", "name": "Busy"} | start]
    busy += [
        {
            "key": "busy",
            "effect": "update",
            "name": f"Busy {number}",
            "occurredAt": f"2026-01-10T10:00:{number}Z",
        }
        for number in range(10, 50)
    ]
    for event in busy:
        assert send(stack, event) == requests.codes.accepted
    others = [{"key": f"other-{number}", "type": "incident", "name": "Other"} for number in range(20)]
    assert send(stack, others) == requests.codes.accepted
    stack.api.set_faults(["latency=0.1"])
    second = stack.program("worker", ready=r"worker started")
    stack.worker.start()
    second.start()
    try:
        wait_until(
            lambda: len(stack.events()) == 1 + len(others), "the others to be listed beside the busy one"
        )
        assert not stack.is_idle()
        wait_until(stack.is_idle, "the busy one to be done", timeout=30)
    finally:
        second.stop()
    (event,) = [each for each in stack.events() if each["metadata"]["marker_key"] == "busy"]
    assert event["name"] == "Busy 49"


def send(stack: Stack, content: object) -> int:
    """The status of a native delivery."""
    headers = {"Authorization": f"Bearer {stack.environment['EVENTS_WEBHOOK_SECRET']}"}
    return requests.post(
        f"{stack.url}/webhooks/events", json=content, headers=headers, timeout=10
    ).status_code


def test_a_worker_killed_while_the_api_has_the_request_leaves_one_event(stack: Stack) -> None:
    """The API has committed, its answer never arrives: the next worker must look before it creates again."""
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:hang=60x1"])
    keys = accept(stack)
    wait_until(stack.events, "the event to be committed")
    stack.worker.kill()
    stack.worker.start()
    assert_listed_once(stack, keys)
    assert "took over from a dead worker" in stack.worker.log()
    assert " found " in stack.worker.log()


def test_a_worker_killed_before_the_request_loses_nothing(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:latency=30x1"])
    keys = accept(stack, 3)
    queue = delivery_queue(stack.redis)
    wait_until(lambda: queue.started_job_registry.get_job_count(cleanup=False), "a job to be in work")
    stack.worker.kill()
    stack.api.set_faults([])
    stack.worker.start()
    assert_listed_once(stack, keys)


def test_redis_may_go_away_in_the_middle_of_a_job(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:latency=1x1"])
    keys = accept(stack)
    queue = delivery_queue(stack.redis)
    wait_until(lambda: queue.started_job_registry.get_job_count(cleanup=False), "a job to be in work")
    stack.redis_process.stop()
    wait_until(lambda: "Redis is away" in stack.worker.log(), "the worker to end")
    stack.redis_process.start()
    assert_listed_once(stack, keys)
    assert "delivery failed" not in stack.worker.log()


def test_what_redis_refuses_for_one_marker_holds_up_no_other(stack: Stack) -> None:
    """Somebody has put something else where what is known of the marker belongs."""
    stack.receiver.start()
    spoilt, _ = accept(stack, 2)
    stack.redis.set(f"{MARKER_PREFIX}{spoilt}", "something else")
    stack.worker.start()
    wait_until(lambda: len(stack.events()) == 1, "the other to be delivered")
    retries = delivery_queue(stack.redis).scheduled_job_registry
    wait_until(lambda: retries.get_job_count(cleanup=False) == 1, "the first to wait for a try")
    assert "delivery failed" in stack.worker.log()
    assert "WRONGTYPE" in stack.worker.log()
    assert stack.worker.log().count("worker started") == 1


def test_sigterm_lets_the_job_in_hand_finish(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:latency=1x1"])
    keys = accept(stack)
    queue = delivery_queue(stack.redis)
    wait_until(lambda: queue.started_job_registry.get_job_count(cleanup=False), "a job to be in work")
    assert stack.worker.stop() == 0
    assert_listed_once(stack, keys)
    assert "worker stopped" in stack.worker.log()


def test_a_worker_stops_also_while_redis_is_away(stack: Stack) -> None:
    stack.worker.start()
    stack.redis_process.stop()
    wait_until(lambda: "Redis is away" in stack.worker.log(), "the outage to be noticed")
    assert stack.worker.stop() == 0
    assert "worker stopped" in stack.worker.log()
    assert "Traceback" not in stack.worker.log()
    assert "could not connect" not in stack.worker.log()


def test_an_idle_worker_stops_at_once_and_says_so(stack: Stack) -> None:
    stack.worker.start()
    stack.worker.send_signal(signal.SIGINT)
    assert stack.worker.wait() == 0
    assert "worker stopped" in stack.worker.log()
    assert "Traceback" not in stack.worker.log()


def test_an_api_that_fails_for_a_while_delays_and_loses_nothing(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:status=500x2", "POST:status=429x1", "POST:dropx1"])
    keys = accept(stack, 4)
    assert_listed_once(stack, keys, timeout=40)
    assert "next_try_in_s" in stack.worker.log()
    assert "Traceback" not in stack.worker.log()


def test_a_refused_token_is_said_and_nothing_is_given_up(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["status=401"])
    accept(stack)
    wait_until(lambda: "not delivered yet" in stack.worker.log(), "the refusal to be logged")
    assert "check APITRAFFIC_API_TOKEN" in stack.worker.log()
    assert stack.api.token not in stack.worker.log()
    queue = delivery_queue(stack.redis)
    wait_until(
        lambda: queue.scheduled_job_registry.get_job_count(cleanup=False) == 1, "the job to wait for a try"
    )
    assert queue.failed_job_registry.get_job_count(cleanup=False) == 0


def test_what_the_api_refuses_becomes_a_dead_letter_with_its_words(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:status=422"])
    accept(stack)
    queue = delivery_queue(stack.redis)
    registry = queue.failed_job_registry
    wait_until(lambda: registry.get_job_count(cleanup=False) == 1, "the dead letter")
    job = queue.fetch_job(registry.get_job_ids(cleanup=False)[0])
    assert job is not None
    result = job.latest_result()
    assert result is not None
    assert "VALIDATION_ERROR" in str(result.exc_string)
    assert "dead letter" in stack.worker.log()
    assert "Traceback" not in stack.worker.log()


def test_while_redis_is_away_deliveries_are_spooled_and_then_delivered_once(stack: Stack) -> None:
    stack.receiver.start()
    stack.worker.start()
    keys = accept(stack, 2)
    stack.redis_process.stop()
    keys |= accept(stack, 20)
    readiness = requests.get(f"{stack.url}/readyz", timeout=10)
    assert readiness.json() == {"status": "ready", "storage": "spool", "spooled": 20}
    stack.redis_process.start()
    ready = {"status": "ready", "storage": "redis", "spooled": 0}
    # It may drain in two parts, if Redis is not quite back for the first.
    wait_until(lambda: requests.get(f"{stack.url}/readyz", timeout=10).json() == ready, "the spool to drain")
    assert "spool drained" in stack.receiver.log()
    assert_listed_once(stack, keys, timeout=30)
    assert "Traceback" not in stack.receiver.log()


def test_a_spool_on_a_full_disk_drains_when_redis_is_back(stack: Stack, disk: Path) -> None:
    stack.environment["APITRAFFIC_SPOOL"] = str(disk / "spool.sqlite")
    stack.receiver.start()
    stack.redis_process.stop()
    keys = accept(stack, 20)
    fill(disk)
    assert requests.get(f"{stack.url}/readyz", timeout=10).status_code == 503
    stack.redis_process.start()
    stack.worker.start()
    wait_until(lambda: "spool drained" in stack.receiver.log(), "the spool to drain")
    assert_listed_once(stack, keys, timeout=30)
    readiness = requests.get(f"{stack.url}/readyz", timeout=10)
    assert readiness.json() == {"status": "ready", "storage": "redis", "spooled": 0}


def test_a_spooled_delivery_sent_again_is_a_duplicate_before_and_after_the_spool_drains(stack: Stack) -> None:
    stack.receiver.start()
    stack.redis_process.stop()
    body = deployment_status(4)
    assert post(stack.url, body, delivery="again").json()["status"] == "accepted"
    assert post(stack.url, body, delivery="again").json()["status"] == "duplicate"
    stack.redis_process.start()
    wait_until(lambda: "spool drained" in stack.receiver.log(), "the spool to drain")
    # A process that has not noticed yet that Redis is back spools it once more; the queue knows better.
    wait_until(lambda: post(stack.url, body, delivery="again").json()["status"] == "duplicate", "a duplicate")
    stack.worker.start()
    assert_listed_once(stack, {"github:deployment:4"})


def test_what_is_spooled_outlives_the_receiver(stack: Stack) -> None:
    stack.receiver.start()
    stack.redis_process.stop()
    keys = accept(stack, 5)
    stack.receiver.kill()
    stack.redis_process.start()
    stack.receiver.start()
    stack.worker.start()
    wait_until(lambda: "spool drained" in stack.receiver.log(), "the spool to drain")
    assert_listed_once(stack, keys)


def test_a_redis_that_hangs_costs_one_time_out_and_not_one_each(stack: Stack) -> None:
    """PagerDuty waits 5 s, GitHub and GitLab 10 s."""
    stack.receiver.start()
    keys = accept(stack, 1)
    stack.redis_process.pause()
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: post(stack.url, deployment_status(number)), range(50, 70)))
    assert {answer.status_code for answer in answers} == {202}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 5
    assert time.monotonic() - started < 10
    stack.redis_process.resume()
    keys |= {f"github:deployment:{number}" for number in range(50, 70)}
    stack.worker.start()
    wait_until(lambda: requests.get(f"{stack.url}/readyz", timeout=10).json()["spooled"] == 0, "no spool")
    assert_listed_once(stack, keys)


@pytest.mark.parametrize("trouble", ["no memory left", "read-only replica"])
def test_a_redis_that_takes_no_writes_is_as_good_as_none(stack: Stack, trouble: str) -> None:
    stack.receiver.start()
    keys = accept(stack, 1)
    if trouble == "no memory left":
        stack.redis.config_set("maxmemory", "1")
    else:
        stack.redis.slaveof("127.0.0.1", 9)
    keys |= accept(stack, 3)
    assert requests.get(f"{stack.url}/readyz", timeout=10).json()["storage"] == "spool"
    if trouble == "no memory left":
        stack.redis.config_set("maxmemory", "0")
    else:
        stack.redis.slaveof()
    stack.worker.start()
    wait_until(lambda: "spool drained" in stack.receiver.log(), "the spool to drain")
    assert_listed_once(stack, keys)


def test_what_means_nothing_to_us_is_kept_too_while_redis_is_away(stack: Stack) -> None:
    stack.receiver.start()
    stack.redis_process.stop()
    body = b'{"deployment_status": "\xff'
    answers = [post(stack.url, body, delivery="unreadable") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["status"] == "quarantined"
    stack.redis_process.start()
    wait_until(lambda: list(Quarantine(stack.redis)), "it to be in quarantine")
    (kept,) = Quarantine(stack.redis)
    assert (kept.name, kept.delivery.body) == ("github:unreadable", body)
    assert not any("signature" in header for header in kept.delivery.headers)


def test_with_neither_redis_nor_spool_nothing_is_accepted_and_that_is_said(stack: Stack) -> None:
    stack.environment["APITRAFFIC_SPOOL"] = "off"
    receiver = stack.program("serve", "--port", "0", ready=r"receiver listens url=(?P<url>\S+)").start()
    assert receiver.announced is not None
    stack.redis_process.stop()
    url = receiver.announced["url"]
    answer = post(url, deployment_status(3))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    readiness = requests.get(f"{url}/readyz", timeout=10)
    assert readiness.status_code == 503
    assert "Redis" in readiness.json()["detail"]
    assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
    stack.redis_process.start()
    wait_until(lambda: post(url, deployment_status(3)).status_code == 202, "it to be accepted again")
    assert "Traceback" not in receiver.log()
    assert receiver.stop() == 0


def test_receiver_and_worker_outlive_a_restart_of_redis(stack: Stack) -> None:
    """Killed, not stopped: what was answered 202 has to be on disk."""
    stack.receiver.start()
    keys = accept(stack, 3)
    stack.redis_process.kill()
    stack.redis_process.start()
    stack.worker.start()
    assert_listed_once(stack, keys)
    stack.redis_process.kill()
    stack.redis_process.start()
    keys |= accept(stack, 3)
    assert_listed_once(stack, keys, timeout=30)
    assert stack.worker.is_running
    assert "Traceback" not in stack.worker.log()


def test_a_worker_that_starts_before_redis_waits_for_it(stack: Stack) -> None:
    stack.redis_process.stop()
    waiting = stack.program("worker", ready="Redis is away").start()
    stack.redis_process.start()
    wait_until(lambda: "worker started" in waiting.log(), "the worker to start")
    assert waiting.stop() == 0
    assert "Traceback" not in waiting.log()
