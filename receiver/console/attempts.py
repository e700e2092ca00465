"""How often somebody may try to log in."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW: Final = 60.0
"""Seconds."""
MOST_OF_ONE: Final = 5
MOST_OF_ALL: Final = 50
"""Failures within the window, from one address and from all."""


class LoginAttempts:
    """Counts failures; `clock` returns seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque(maxlen=MOST_OF_ALL)
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str) -> float:
        """Until the next attempt from this address is allowed; 0 if it is allowed now."""
        with self._lock:
            now = self._clock()
            while self._failures and self._failures[0][0] <= now - WINDOW:
                self._failures.popleft()
            of_this = [moment for moment, other in self._failures if other == address]
            waits = [0.0]
            if len(of_this) >= MOST_OF_ONE:
                waits.append(of_this[-MOST_OF_ONE] + WINDOW - now)
            if len(self._failures) >= MOST_OF_ALL:
                waits.append(self._failures[0][0] + WINDOW - now)
            return max(waits)

    def failed(self, address: str) -> None:
        with self._lock:
            self._failures.append((self._clock(), address))
