"""Jobs that were dequeued together: which are begun, by which thread, and when the rest is given back.

A batch saves round trips, and must make nobody wait. It is no larger than what the worker begins in a
moment, and what has not been begun soon after is given back: other workers may be idle, or an incident may be
queued.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from receiver.worker.dequeued import Dequeued

LARGEST: Final = 16
"""Jobs that are dequeued at once."""
MOMENT: Final = 0.05
"""Seconds within which a batch is to be begun."""
LONGEST_HOLD: Final = 0.25
"""Seconds after which a job that was not begun is given back."""


class Batch:
    """What was dequeued and not begun. All threads take from it.

    `give_back` puts jobs to the front of their queues again. `threads` is how many there are.
    """

    def __init__(self, give_back: Callable[[Sequence[Dequeued]], None], threads: int) -> None:
        self._give_back = give_back
        self.threads = threads
        self._waiting: deque[Dequeued] = deque()
        self._mutex = threading.Lock()
        self._seconds_per_job = math.inf

    @property
    def size(self) -> int:
        """How many jobs to dequeue: one for each thread, and more if they would be begun within a moment."""
        within_moment = 0 if math.isinf(self._seconds_per_job) else int(MOMENT / self._seconds_per_job)
        return min(LARGEST, max(self.threads, within_moment))

    def measured(self, jobs: int, seconds: float) -> None:
        """Record that so many jobs of a batch took so many seconds."""
        self._seconds_per_job = max(seconds, 1e-6) / jobs

    def put(self, jobs: Sequence[Dequeued]) -> None:
        with self._mutex:
            self._waiting.extend(jobs)

    def take(self) -> Dequeued | None:
        """The next job to begin; `None` if there is none, also if the rest had to be given back."""
        with self._mutex:
            if not self._waiting:
                return None
            if not self._is_late():
                return self._waiting.popleft()
        self.give_back()
        return None

    def give_back(self, *begun: Dequeued) -> None:
        """Give all back that was not begun, and before it these, of which nothing was done."""
        with self._mutex:
            jobs = [*begun, *self._waiting]
            self._waiting.clear()
        self._give_back(jobs)

    def give_back_if_late(self) -> None:
        """Called while all threads may be waiting for the API."""
        with self._mutex:
            is_late = self._is_late()
        if is_late:
            self.give_back()

    def _is_late(self) -> bool:
        return bool(self._waiting) and time.monotonic() - self._waiting[0].taken_at > LONGEST_HOLD
