"""Telling the story of `tests.support.story` to a stack, and comparing what its markers say."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from apitraffic_events.timestamps import now
from receiver.datastore.keys import AccountKeys
from tests.support.redis import long_in_use
from tests.support.stack import Stack
from tests.support.story import Story
from tests.support.story_told import Told, along_the_way, told
from tests.support.waiting import wait_until

PATIENCE: Final = 60.0
BEGAN: Final = timedelta(hours=4)
"""Ago: long enough for all periods to be over."""


def forget_all(stack: Stack) -> None:
    """As if nothing had ever been delivered to it. No worker may be running."""
    for event in stack.events():
        stack.api.call("DELETE", f"/events/{event['sid']}")
    stack.redis.flushdb()
    long_in_use(stack.redis)


def begun(stack: Stack) -> Story:
    """A story of which nothing is sent yet; the API has its traffic."""
    story = Story(now() - BEGAN)
    stack.api.set_traffic(story.traffic)
    return story


def tell(stack: Stack, story: Story, kills: Mapping[str, str] = MappingProxyType({})) -> None:
    """Send it step by step, and compare all markers after each.

    `kills` has for what a step reports the method of the request in which the worker is killed: the API has
    carried it out, and nobody hears of it.
    """
    for key, markers in along_the_way(story).items():
        if key in kills:
            stack.api.set_faults([f"{kills[key]}:hang=60x1"])
        story.send(stack, key)
        if key in kills:
            wait_until(lambda: not stack.api.faults(), f"the worker to be in its {kills[key]}", PATIENCE)
            stack.worker.kill()
            stack.worker.start()
        assert_told(stack, markers)


def assert_told(stack: Stack, expected: Mapping[str, Told]) -> None:
    """Once nothing is left to do, the markers say this, and each is there once."""
    looks = AccountKeys().second_looks
    wait_until(
        # Twice, as a look that was due may have become a job in between.
        lambda: stack.is_idle() and not stack.redis.exists(looks) and stack.is_idle(),
        lambda: f"everything to be said:\n{stack.worker.log()[-3000:]}",
        PATIENCE,
    )
    assert told(stack) == expected
    assert "dead letter" not in stack.worker.log()
