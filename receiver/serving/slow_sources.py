"""Sources whose deliveries take too long to be read on the event loop, which everybody else waits for.

Most are read in a fraction of a millisecond. But a delivery that meets an unfortunate regular expression of a
declared sender may use up its budget of 0.1 s, and its text may come from outside.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LONGEST: Final = 0.02
"""Seconds of processor time for which the loop may read one delivery; one of 64 KiB takes about a tenth."""
KEPT_AWAY: Final = 60.0
"""Seconds for which a source's deliveries are then read in threads."""


class SlowSources:
    """Remembers by name which sources have lately been slow."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._processor_time = processor_time
        self._until: dict[str, float] = {}

    def __contains__(self, source: str) -> bool:
        return bool(self._until) and self._clock() < self._until.get(source, 0.0)

    @contextmanager
    def measured(self, source: str) -> Iterator[None]:
        """Around the reading of one delivery."""
        began = self._processor_time()
        try:
            yield
        finally:
            if self._processor_time() - began > LONGEST:
                self._until[source] = self._clock() + KEPT_AWAY
