"""What the worker adds to RQ's, where no process of its own is needed to see it."""

import signal
import time
from collections.abc import Iterator

import pytest

from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from receiver.worker.wake_up import WakeUp
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import change


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
    redis, workers = connect(redis_url), 8
    began = time.monotonic()
    for _ in range(workers):
        DeliveryWorker(redis, RequestBudget(redis)).work(burst=True, logging_level="WARNING")
    assert time.monotonic() - began < workers / 2, "RQ waits for a second, each time"
