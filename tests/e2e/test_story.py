"""The story that the insights are for, on the real stack: every line of every marker.

A release goes wrong, is noticed, and is taken back (`tests.support.story`). Then the same in other orders,
with workers killed, without figures for a while, and with a Redis that loses everything in the middle.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.datastore.keys import AccountKeys
from tests.support.redis import long_in_use
from tests.support.stack import Stack, running_stack
from tests.support.story import BACK, FLAG, INCIDENT, RESOLVED, SECRETS, V1, V2, Story
from tests.support.story_told import Told, along_the_way, in_the_end, told
from tests.support.waiting import wait_until

PATIENCE = 60.0


@pytest.fixture(scope="module")
def story_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("story")) as stack:
        stack.environment |= SECRETS
        stack.receiver.start()
        yield stack


@pytest.fixture
def stack(story_stack: Stack) -> Iterator[Stack]:
    """With a worker that knows of nothing yet."""
    for event in story_stack.events():
        story_stack.api.call("DELETE", f"/events/{event['sid']}")
    story_stack.redis.flushdb()
    long_in_use(story_stack.redis)
    story_stack.worker.start()
    yield story_stack
    story_stack.worker.stop()
    story_stack.api.set_faults([])


@pytest.fixture
def story(stack: Stack) -> Story:
    story = Story(datetime.now(UTC) - timedelta(hours=4))
    stack.api.set_traffic(story.traffic)
    return story


def assert_told(stack: Stack, expected: Mapping[str, Told]) -> None:
    """Once nothing is left to do, the markers say this, and each is there once."""
    looks = AccountKeys().second_looks
    wait_until(
        lambda: stack.is_idle() and not stack.redis.exists(looks) and stack.is_idle(),
        lambda: f"everything to be said:\n{dump(stack)}{stack.worker.log()[-3000:]}",
        PATIENCE,
    )
    assert told(stack) == expected
    assert "dead letter" not in stack.worker.log()


def test_each_marker_says_what_is_known_when_it_is_known(stack: Stack, story: Story) -> None:
    for key, markers in along_the_way(story).items():
        story.send(stack, key)
        assert_told(stack, markers)


ORDERS = {
    "backwards": (RESOLVED, BACK, INCIDENT, V2, FLAG, V1),
    "what caused it last": (INCIDENT, RESOLVED, BACK, V1, V2, FLAG),
    "what it went back to last": (BACK, V2, RESOLVED, FLAG, INCIDENT, V1),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_in_whatever_order_it_is_reported_the_same_is_said(
    stack: Stack, story: Story, order: tuple[str, ...]
) -> None:
    story.send(stack, *order)
    assert_told(stack, in_the_end(story))


def test_what_waited_for_a_worker_is_said_all_the_same(stack: Stack, story: Story) -> None:
    stack.worker.stop()
    story.send(stack)
    story.send(stack)
    stack.worker.start()
    assert_told(stack, in_the_end(story))


KILLED_IN = {
    "a creation or a closing": dict.fromkeys((V1, FLAG, V2, INCIDENT, BACK), "POST") | {RESOLVED: "PATCH"},
    "the reading of figures": dict.fromkeys((V1, V2, BACK), "GET"),
    "what is added": dict.fromkeys((V1, V2, INCIDENT, BACK), "PATCH"),
}
"""What reports the step -> the request in which the worker dies: the API commits it, nobody hears of it."""


@pytest.mark.parametrize("kills", KILLED_IN.values(), ids=KILLED_IN)
def test_a_worker_killed_at_each_step_doubles_and_loses_nothing(
    stack: Stack, story: Story, kills: Mapping[str, str]
) -> None:
    for key, markers in along_the_way(story).items():
        if key in kills:
            stack.api.set_faults([f"{kills[key]}:hang=60x1"])
        story.send(stack, key)
        if key in kills:
            wait_until(lambda: not stack.api.faults(), f"the worker to be in its {kills[key]}", PATIENCE)
            stack.worker.kill()
            stack.worker.start()
        assert_told(stack, markers)


def dump(stack):
    import time
    from receiver.queue.queues import delivery_queues
    out=[f"now {time.time()}", f"looks {stack.redis.zrange('apitraffic:second-looks',0,-1,withscores=True)}", f"{stack.api.requests()} {stack.api.faults()}"]
    for q in delivery_queues(stack.redis):
        out.append(f"{q.name} {q.job_ids} started={stack.redis.zrange(q.started_job_registry.key,0,-1,withscores=True)} sched={stack.redis.zrange(q.scheduled_job_registry.key,0,-1,withscores=True)} failed={q.failed_job_registry.get_job_ids(cleanup=False)}")
    for k in stack.redis.scan_iter('apitraffic:rq:job:*'): out.append(f"{k} {stack.redis.ttl(k)} {stack.redis.hget(k,'status')}")
    for k in stack.redis.scan_iter('*lock*'): out.append(f"{k} {stack.redis.ttl(k)}")
    return "\n".join(out)+"\n"
