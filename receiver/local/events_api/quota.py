"""The request quota, in fixed windows. A window begins with the first request after the last one ended."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """The state of the quota for one answer. `reset` is in Unix seconds."""

    limit: int
    remaining: int
    reset: float
    granted: bool = True

    def headers(self) -> dict[str, str]:
        """Return the `X-RateLimit-…` headers of the answer."""
        # Rounded up: a client that waits until this second must not be too early.
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset)),
        }


class Quota:
    """`limit` requests for each `window` of seconds, shared by all threads."""

    def __init__(self, limit: int, window: float, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._reset = clock() + window

    def take(self) -> Allowance:
        """Count one request. The allowance says whether it is `granted`."""
        with self._lock:
            self._begin_window_if_over()
            granted = self._used < self._limit
            if granted:
                self._used += 1
            return Allowance(self._limit, self._limit - self._used, self._reset, granted)

    def current(self) -> Allowance:
        """Return the state without counting a request."""
        with self._lock:
            self._begin_window_if_over()
            return Allowance(self._limit, self._limit - self._used, self._reset)

    def seconds_left(self, allowance: Allowance) -> int:
        """Return how long a refused client has to wait: whole seconds, at least one."""
        return max(1, math.ceil(allowance.reset - self._clock()))

    def _begin_window_if_over(self) -> None:
        now = self._clock()
        if now >= self._reset:
            self._used = 0
            self._reset = now + self._window
