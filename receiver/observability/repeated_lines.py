"""Log lines that anybody who reaches the receiver can cause: one a second of each kind, with a count."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from structlog import get_logger

INTERVAL: Final = 1.0
"""Seconds."""


class RepeatedLines:
    """Warnings by logger, event and kind. The first is logged at once, further ones together.

    A kind is made of our own words, so that there are few. `flush` logs what has not been logged yet; without
    it, the last ones wait for the next of their kind.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at: dict[tuple[str, str, str], float] = {}
        self._waiting: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = {}

    def warn(self, logger: str, event: str, kind: str, **fields: Any) -> None:
        """Log it, with `times` if it stands for several, and with the fields of the last one."""
        key, now = (logger, event, kind), self._clock()
        with self._lock:
            times = self._waiting.get(key, (0, {}))[0] + 1
            if now - self._logged_at.get(key, now - INTERVAL) < INTERVAL:
                self._waiting[key] = (times, fields)
                return
            self._waiting.pop(key, None)
            self._logged_at[key] = now
        _log(key, times, fields)

    def flush(self) -> None:
        """Log what has waited for an interval."""
        now = self._clock()
        with self._lock:
            due = [key for key in self._waiting if now - self._logged_at[key] >= INTERVAL]
            lines = [(key, *self._waiting.pop(key)) for key in due]
            self._logged_at.update(dict.fromkeys(due, now))
        for line in lines:
            _log(*line)


def _log(key: tuple[str, str, str], times: int, fields: dict[str, Any]) -> None:
    logger, event, _kind = key
    get_logger(logger).warning(event, **fields, **({"times": times} if times > 1 else {}))
