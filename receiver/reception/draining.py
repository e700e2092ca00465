"""Move what is in the spool to Redis, even if the disk is full or one delivery cannot be moved."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from typing import Final

from structlog import get_logger

from receiver.errors import StorageUnavailable
from receiver.observability.trace_context import carrying
from receiver.reception.spool import Content, Spool
from receiver.reception.spool_file import REMOVED_AT_ONCE

FIRST_REPEAT: Final = 60.0
LONGEST_REPEAT: Final = 3600.0
"""Seconds after which the log says again that the spool is not drained; the pause doubles each time."""


class Drain:
    """Moves deliveries with `move`, which raises `StorageUnavailable` if a delivery cannot be moved.

    `check` raises it if Redis takes nothing at all. A delivery that was moved and not removed, because this
    process died or because the disk does not let it, is moved again by the next process, and recognised as a
    duplicate.
    """

    def __init__(self, spool: Spool, move: Callable[[Content], object], check: Callable[[], None]) -> None:
        self._spool = spool
        self._move = move
        self._check = check
        self._moved: set[int] = set()
        """Deliveries that Redis has and that could not be removed yet."""
        self._seen_failing: set[int] = set()
        self.problem: str | None = None
        """Why something stays in the spool although Redis takes deliveries; `None` if nothing does."""

    def run(self) -> int | None:
        """Move all deliveries, in the order in which they arrived; returns how many were moved.

        `None` if another process is draining the spool, so that nothing is known of it. Raises
        `StorageUnavailable` if Redis takes none.
        """
        with ExitStack() as held:
            try:
                if not self._spool.count():
                    self._moved.clear()
                    self.problem = None
                    return 0
                if not held.enter_context(self._spool.sole_drainer()):
                    return None
                numbers = self._spool.numbers()
            except StorageUnavailable as failure:
                self.problem = str(failure)
                return 0
            return self._drain(numbers)

    def _drain(self, numbers: list[int]) -> int:
        self._moved &= set(numbers)
        self._seen_failing &= set(numbers)
        rest = iter([number for number in numbers if number not in self._moved])
        problems = [self._remove(sorted(self._moved))]
        moved = 0
        try:
            while some := list(islice(rest, REMOVED_AT_ONCE)):
                for number in some:
                    problem = self._move_one(number)
                    problems.append(problem)
                    moved += problem is None
                problems.append(self._remove([number for number in some if number in self._moved]))
        finally:
            self.problem = next((problem for problem in problems if problem is not None), None)
        return moved

    def _move_one(self, number: int) -> str | None:
        """Move the delivery with this number; returns why it stays. Raises as `run` does."""
        try:
            spooled = self._spool.read(number)
            if spooled is not None:
                with carrying(spooled.traceparent):
                    self._move(spooled.content)
        except StorageUnavailable as failure:
            self._check()
            return f"delivery {number}: {failure}"
        except Exception as error:  # noqa: BLE001 - logged once: a bug must not keep all others in the spool
            if number not in self._seen_failing:
                self._seen_failing.add(number)
                get_logger("receiver.intake").exception(
                    "a delivery in the spool cannot be moved", number=number
                )
            return f"delivery {number}: {type(error).__name__}"
        self._moved.add(number)
        return None

    def _remove(self, numbers: list[int]) -> str | None:
        """Remove deliveries that Redis has; returns why they stay."""
        try:
            self._spool.remove(numbers)
        except StorageUnavailable as failure:
            return f"what has been moved to Redis cannot be removed: {failure}"
        self._moved.difference_update(numbers)
        return None


class Reminder:
    """Says when to log a state that lasts: at once, then with growing pauses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause = FIRST_REPEAT
        self._due_at: float | None = None

    def is_due(self) -> bool:
        if self._due_at is None:
            self._pause = FIRST_REPEAT
        elif self._clock() < self._due_at:
            return False
        else:
            self._pause = min(self._pause * 2, LONGEST_REPEAT)
        self._due_at = self._clock() + self._pause
        return True

    def reset(self) -> None:
        """The state has ended; the next time, it is logged at once."""
        self._due_at = None
