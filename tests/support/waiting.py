"""Waiting for a condition, never for a while."""

import time
from collections.abc import Callable
from typing import Final

SHORTEST: Final = 0.005
LONGEST: Final = 0.2
SHARE: Final = 0.1
"""The pause between two looks, as a share of the time waited so far: a look takes processor time from what is
waited for, and a pause of a tenth makes no wait much longer.
"""
LONGEST_FOR_COSTLY: Final = 0.5
"""A look that takes longer than the pause would, such as one at all events, is followed by a pause as long as
itself, up to this."""


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], timeout: float = 15.0) -> None:
    """`what` is said where it does not happen in time; as a function, of that moment."""
    began = looked = time.monotonic()
    while not condition():
        now = time.monotonic()
        waited, took = now - began, now - looked
        if waited > timeout:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(max(min(max(waited * SHARE, SHORTEST), LONGEST), min(took, LONGEST_FOR_COSTLY)))
        looked = time.monotonic()
