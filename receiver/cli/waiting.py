"""Words on standard error while a call takes its time, so that no command is silent for long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from rich.console import Console
from rich.text import Text

from apitraffic_events.errors import EventsApiError

LONGEST_SILENCE: Final = 1.5
"""Seconds."""


@dataclass(slots=True)
class Patience:
    """On a terminal, a line that counts the seconds until the answer; in a pipe, a line for each retry.

    A dumb terminal, as in an editor, cannot write a line anew. It is treated as a pipe.
    """

    console: Console
    _problem: str = ""
    _done: threading.Event = field(default_factory=threading.Event)

    def before_retry(self, error: EventsApiError) -> None:
        status = f"{error.status} " if error.status and str(error.status) not in str(error) else ""
        self._problem = f": {status}{error}"
        if not self._can_count:
            self._say(f"ApiTraffic is tried again{self._problem}")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Around one call."""
        self._problem = ""
        self._done.clear()
        thread = threading.Thread(target=self._count, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    @property
    def _can_count(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def _count(self) -> None:
        began = monotonic()
        if self._done.wait(LONGEST_SILENCE):
            return
        if not self._can_count:
            if not self._problem:
                self._say("Waiting for ApiTraffic …")
            return
        with self.console.status("") as status:
            while True:
                status.update(Text(f"Waiting for ApiTraffic, {monotonic() - began:.0f} s{self._problem}"))
                if self._done.wait(LONGEST_SILENCE):
                    return

    def _say(self, text: str) -> None:
        with suppress(OSError):  # Nobody may read it any more.
            self.console.print(text, markup=False, soft_wrap=True)
