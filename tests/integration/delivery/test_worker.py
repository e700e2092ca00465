"""What the worker adds to RQ's, where no process of its own is needed to see it."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from structlog.testing import capture_logs

from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from receiver.worker import retry_clock
from receiver.worker.quiet_worker import LONGEST_END
from receiver.worker.retry_clock import RetryClock
from receiver.worker.wake_up import WakeUp
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import change
from tests.support.redis import redis_process
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """RQ replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_came_before_it_listened_stops_it(redis_url: str) -> None:
    stop = WakeUp()
    stop.set()
    redis = connect(redis_url)
    assert Enqueuer(redis).enqueue([change("point")])
    worker = DeliveryWorker(redis, RequestBudget(redis), stop)
    assert worker.work(logging_level="WARNING") is False
    assert len(delivery_queue(redis).job_ids) == 1
    assert redis.hexists(worker.key, "death")


def test_its_end_does_not_wait_for_the_thread_that_listens_for_commands(redis_url: str) -> None:
    redis, took = connect(redis_url), []
    for _ in range(7):
        began = time.monotonic()
        DeliveryWorker(redis, RequestBudget(redis)).work(burst=True, logging_level="WARNING")
        took.append(time.monotonic() - began)
    assert median(took) < LONGEST_END, "RQ waits for a second, nearly each time"


def test_a_clock_that_redis_keeps_waiting_ends_with_the_worker_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker closes the connection from which the clock still reads."""
    monkeypatch.setattr(retry_clock, "LONGEST_END", 0.1)
    with redis_process(tmp_path / "redis") as server, capture_logs() as logs:
        redis = connect(server.url)
        worker = DeliveryWorker(redis, RequestBudget(redis))
        clock = RetryClock(worker)
        server.pause()
        clock.start()
        worker.wants_attention.set()
        wait_until(lambda: vars(redis.connection_pool)["_in_use_connections"], "it waits for Redis")
        clock.stop()
        assert clock.is_alive()
        redis.close()
        server.resume()
        wait_until(lambda: not clock.is_alive(), "it ends")
    assert not [entry for entry in logs if entry["log_level"] == "error"]
