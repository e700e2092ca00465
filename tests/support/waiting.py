"""Waiting for a condition, never for a while."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], timeout: float = 15.0) -> None:
    """`what` is said where it does not happen in time; as a function, of that moment."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(0.01)
