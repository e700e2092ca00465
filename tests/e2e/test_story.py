"""The story that the insights are for, on the real stack: every line of every marker.

A release goes wrong, is noticed, and is taken back (`tests.support.story`). Then the same in other orders,
with workers killed, without figures for a while, and with a Redis that loses everything in the middle.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from apitraffic_events.timestamps import now
from receiver.datastore.keys import AccountKeys
from tests.support.stack import Stack, running_stack
from tests.support.story import BACK, FLAG, INCIDENT, RESOLVED, SECRETS, V1, V2, Story
from tests.support.story_telling import PATIENCE, assert_told, begun, forget_all, tell
from tests.support.story_told import Told, along_the_way, in_the_end, told
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def story_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("story")) as stack:
        stack.environment |= SECRETS
        stack.receiver.start()
        yield stack


@pytest.fixture
def stack(story_stack: Stack) -> Iterator[Stack]:
    """With a worker that knows of nothing yet."""
    forget_all(story_stack)
    story_stack.worker.start()
    yield story_stack
    story_stack.worker.stop()
    story_stack.api.set_faults([])


@pytest.fixture
def story(stack: Stack) -> Story:
    return begun(stack)


def test_each_marker_says_what_is_known_when_it_is_known(stack: Stack, story: Story) -> None:
    tell(stack, story)


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


KILLED_IN = {V1: "POST", FLAG: "POST", V2: "GET", INCIDENT: "PATCH", BACK: "PATCH", RESOLVED: "PATCH"}
"""A creation, the reading of figures, and what is added or closed. The rest is in `tests.chaos.story`."""


def test_a_worker_killed_at_each_step_doubles_and_loses_nothing(stack: Stack, story: Story) -> None:
    tell(stack, story, KILLED_IN)


def test_while_there_are_no_figures_everything_else_is_said(stack: Stack, story: Story) -> None:
    """And the verdicts when they are back: asked for every five minutes, which are over at once here."""
    stack.api.set_faults(["metrics=503"])
    story.send(stack)
    judged = (V1, V2, BACK)
    looks = AccountKeys().second_looks
    moment = now().timestamp()
    wait_until(
        lambda: (
            stack.is_idle()
            and stack.redis.zcount(looks, moment + 60, "+inf") == stack.redis.zcard(looks) == len(judged)
        ),
        lambda: f"nothing but verdicts to be left:\n{stack.worker.log()[-3000:]}",
        PATIENCE,
    )
    expected = in_the_end(story)
    unjudged = {
        key: replace(
            expected[key].without("15 min after", "verdict"), name=expected[key].name.partition(" (")[0]
        )
        for key in judged
    }
    assert told(stack) == expected | unjudged
    stack.api.set_faults([])
    stack.redis.zadd(looks, dict.fromkeys(judged, moment))
    assert_told(stack, expected)


@pytest.fixture
def halfway(stack: Stack, story: Story) -> dict[str, Told]:
    """What is said after the incident has opened, and then Redis has lost everything."""
    said = along_the_way(story)[INCIDENT]
    story.send(stack, V1, FLAG, V2, INCIDENT)
    assert_told(stack, said)
    stack.redis.flushdb()
    return said


def test_after_a_redis_has_lost_everything_the_story_goes_on(
    stack: Stack, story: Story, halfway: dict[str, Told]
) -> None:
    story.send(stack, BACK, RESOLVED)
    end = in_the_end(story)
    assert_told(stack, halfway | {BACK: end[BACK], INCIDENT: end[INCIDENT]})


@pytest.mark.usefixtures("halfway")
def test_what_a_redis_has_lost_and_is_sent_again_says_the_same_once(stack: Stack, story: Story) -> None:
    story.send(stack, RESOLVED, V2, INCIDENT, BACK, FLAG, V1)
    end = in_the_end(story)
    since = "Changed since then"
    # There may have been more, which Redis has lost.
    v2 = end[V2].without("", "changed_since")
    v2 = replace(v2, lines=[line.replace(since, f"{since}, among others") for line in end[V2].lines])
    assert_told(stack, end | {V2: v2})
