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
        lambda: f"everything to be said:\n{stack.worker.log()[-3000:]}",
        PATIENCE,
    )
    assert told(stack) == expected
    assert "dead letter" not in stack.worker.log()


def test_each_marker_says_what_is_known_when_it_is_known(stack: Stack, story: Story) -> None:
    for key, markers in along_the_way(story).items():
        story.send(stack, key)
        assert_told(stack, markers)
