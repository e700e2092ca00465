"""Redis is filled by our own queue: what comes in is spooled, and what is queued is delivered, once."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from receiver.datastore.when_full import connect_to_drain
from receiver.queue.queues import delivery_queue
from tests.support.github import deployment_status, post
from tests.support.redis import limit_memory
from tests.support.stack import Stack
from tests.support.waiting import wait_until

NUMBERS = itertools.count(1)
ROOM = 1024 * 1024
"""Bytes; enough for some two hundred deliveries."""
LEAST = 120
PATIENCE = 90.0
"""Seconds."""


@pytest.fixture
def full(stack: Stack) -> Stack:
    """A receiver has accepted more than this Redis can hold; `keys` is what it must become."""
    stack.receiver.start()
    stack.redis = connect_to_drain(stack.redis_process.url)
    limit_memory(stack.redis, ROOM)
    return stack


def storage(stack: Stack) -> str:
    return str(requests.get(f"{stack.url}/readyz", timeout=10).json()["storage"])


def fill(stack: Stack) -> set[str]:
    """Post deploys until Redis takes no more and some are in the spool; the keys of their markers."""
    keys: set[str] = set()
    while len(keys) < LEAST or storage(stack) == "redis":
        ids = list(itertools.islice(NUMBERS, 40))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: post(stack.url, deployment_status(number)), ids))
        assert {answer.status_code for answer in answers} == {202}
        keys |= {f"github:deployment:{number}" for number in ids}
    return keys


def spooled(stack: Stack) -> int:
    return int(requests.get(f"{stack.url}/readyz", timeout=10).json()["spooled"])


def deliver(stack: Stack, keys: set[str]) -> None:
    """Wait until all that is in Redis is delivered, then give it more memory for what is in the spool.

    What is remembered of the markers is more than this Redis may hold.
    """
    # Each delivery makes room, into which the spool drains meanwhile.
    wait_until(
        lambda: stack.is_idle() and len(stack.events()) == len(keys) - spooled(stack),
        lambda: f"what is not in the spool to be delivered:\n{stack.worker.log()[-3000:]}",
        PATIENCE,
    )
    stack.redis.config_set("maxmemory", 0)
    wait_until(lambda: spooled(stack) == 0 and stack.is_idle(), "the spool to be empty too", PATIENCE)
    assert sorted(event["metadata"]["marker_key"] for event in stack.events()) == sorted(keys)
    assert "Traceback" not in stack.worker.log(), stack.worker.log()


def test_workers_that_start_when_the_queue_has_filled_redis_deliver_all_of_it(full: Stack) -> None:
    keys = fill(full)
    full.worker.start()
    deliver(full, keys)
    assert full.worker.log().count("worker started") == 1


def test_workers_that_an_api_keeps_waiting_while_redis_fills_deliver_all_of_it_afterwards(
    full: Stack,
) -> None:
    """Each failing attempt is stored: when to try again, and that the marker is in doubt."""
    full.worker.start()
    full.api.set_faults(["POST:status=503"])
    # The worker's own data and the scripts have taken some of the room.
    limit_memory(full.redis, ROOM)
    keys = fill(full)
    retries = delivery_queue(full.redis).scheduled_job_registry
    wait_until(lambda: retries.get_job_count(cleanup=False) > 5, "some to wait for a retry", PATIENCE)
    full.worker.kill()
    full.worker.start()
    full.api.set_faults([])
    deliver(full, keys)


def test_what_the_api_refuses_while_redis_is_full_becomes_a_dead_letter(full: Stack) -> None:
    keys = fill(full)
    full.api.set_faults(["POST:status=422x1"])
    full.worker.start()
    dead = delivery_queue(full.redis).failed_job_registry
    wait_until(lambda: dead.get_job_count(cleanup=False) == 1, "a dead letter")
    wait_until(
        lambda: full.is_idle() and len(full.events()) == len(keys) - spooled(full) - 1,
        "all others to be delivered",
        PATIENCE,
    )
    assert "Traceback" not in full.worker.log(), full.worker.log()
