"""A worker that is killed or stopped in the middle of a batch, while the API holds its requests."""

from itertools import count
from typing import Final

import pytest

from receiver.datastore.keys import MARKER_PREFIX
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from receiver.worker.running import HELPERS
from tests.support.changes import at, change
from tests.support.redis import long_in_use
from tests.support.stack import Stack
from tests.support.waiting import wait_until

AT_ONCE: Final = 1 + HELPERS
"""Requests that a worker makes at once."""
WARM_UP: Final = 60
"""After so many deliveries, the worker takes batches."""
_numbers = count(1)


def queue(stack: Stack, number: int) -> list[str]:
    """The keys of so many markers."""
    keys = [f"marker:{next(_numbers)}" for _ in range(number)]
    for key in keys:
        assert Enqueuer(stack.redis).enqueue([_point(key)])
    return keys


def _point(key: str) -> Change:
    return change("point", key=key, delivery=key, metadata={"marker_key": key}, started_at=at(0))


def in_doubt(stack: Stack) -> list[str]:
    keys = stack.redis.keys(f"{MARKER_PREFIX}*")
    return [str(key) for key in keys if stack.redis.hget(key, "in_doubt") == b"1"]


def waiting(stack: Stack) -> int:
    return delivery_queue(stack.redis).count


def require_each_once(stack: Stack, keys: list[str]) -> None:
    wait_until(stack.is_idle, lambda: f"the queue to be empty:\n{stack.worker.log()[-3000:]}", 30)
    assert sorted(event["metadata"]["marker_key"] for event in stack.events()) == sorted(keys)


@pytest.fixture
def warm(stack: Stack) -> list[str]:
    """A worker that takes batches, and the keys of what it has delivered."""
    long_in_use(stack.redis)
    keys = queue(stack, WARM_UP)
    stack.worker.start()
    wait_until(stack.is_idle, "the worker to be warm")
    return keys


@pytest.mark.parametrize("fault", ["latency=60", "hang=60"], ids=["before it acts", "after it has acted"])
def test_a_killed_worker_leaves_no_more_in_doubt_than_it_had_begun(
    stack: Stack, warm: list[str], fault: str
) -> None:
    stack.api.set_faults([f"POST:{fault}x{AT_ONCE}"])
    keys = queue(stack, 24)
    wait_until(lambda: len(in_doubt(stack)) == AT_ONCE, "the worker to make as many requests as it can")
    stack.worker.kill()
    assert len(in_doubt(stack)) == AT_ONCE
    stack.api.kill()
    stack.api.start()
    stack.worker.start()
    require_each_once(stack, warm + keys)


def test_what_a_worker_does_not_get_to_is_delivered_by_another(stack: Stack, warm: list[str]) -> None:
    stack.api.set_faults([f"POST:latency=20x{AT_ONCE}"])
    keys = queue(stack, 24)
    wait_until(lambda: len(in_doubt(stack)) == AT_ONCE, "the worker to make as many requests as it can")
    wait_until(lambda: waiting(stack) == len(keys) - AT_ONCE, "the rest to be given back")
    assert len(in_doubt(stack)) == AT_ONCE, "it is given back while the requests are being made"
    other = stack.program("worker", ready=r"worker started")
    other.start()
    try:
        wait_until(
            lambda: len(stack.events()) == len(warm + keys) - AT_ONCE, "the other worker to deliver it"
        )
    finally:
        other.stop()
    assert len(in_doubt(stack)) == AT_ONCE


def test_a_worker_that_is_stopped_gives_the_rest_back_at_once(stack: Stack, warm: list[str]) -> None:
    stack.api.set_faults([f"POST:latency=3x{AT_ONCE}"])
    keys = queue(stack, 12)
    wait_until(lambda: len(in_doubt(stack)) == AT_ONCE, "the worker to make as many requests as it can")
    stack.worker.terminate()
    wait_until(lambda: waiting(stack) == len(keys) - AT_ONCE, "the rest to be given back")
    assert len(in_doubt(stack)) == AT_ONCE, "it is given back while the requests are being made"
    assert stack.worker.wait() == 0
    assert in_doubt(stack) == []
    assert waiting(stack) == len(keys) - AT_ONCE
    assert len(stack.events()) == len(warm) + AT_ONCE
