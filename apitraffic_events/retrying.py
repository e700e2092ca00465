"""Asking the API again while there is time: for a person or a job that waits (docs/ci-plugins.md).

What the worker does, which has days, is in `receiver.delivery.retries`.
"""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, RateLimited, ServerFailed, Unreachable
from apitraffic_events.timestamps import now

SHORTEST_REQUEST: Final = 0.1
LONGEST_REQUEST: Final = 10.0
SHORTEST_CEILING: Final = 0.5
LONGEST_CEILING: Final = 8.0
"""Seconds."""

T = TypeVar("T")


class OutOfTime(Exception):
    """No answer, or only ones that mean "later", while there was time; the message has the last of them."""


class Tries:
    """Calls of one client, each made within so many seconds."""

    def __init__(
        self,
        client: EventsClient,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep

    def call(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, which is called again after a failure that may pass.

        Raises `OutOfTime`, or the `EventsApiError` of a refusal.
        """
        began, tries = self._clock(), 0
        while True:
            left = self._seconds - (self._clock() - began)
            self._client.wait_at_most(max(SHORTEST_REQUEST, min(LONGEST_REQUEST, left)))
            try:
                return ask()
            except (RateLimited, ServerFailed, Unreachable) as error:
                tries += 1
                pause = _pause_after(error, tries)
                taken = self._clock() - began
                if taken + pause >= self._seconds:
                    raise OutOfTime(_summary(error, tries, taken)) from error
            self._sleep(pause)


def _pause_after(error: EventsApiError, tries: int) -> float:
    if asked := _asked_pause(error):
        return asked
    ceiling = min(LONGEST_CEILING, SHORTEST_CEILING * 2.0 ** (tries - 1))
    return random.uniform(0, ceiling)  # noqa: S311 - spreads load, keeps no secret


def _asked_pause(error: EventsApiError) -> float:
    """Seconds that the answer asks to wait; 0 if it asks for none, or for a moment that has passed."""
    if error.retry_after is not None:
        return error.retry_after
    if isinstance(error, RateLimited) and error.rate_limit is not None:
        return max(0.0, (error.rate_limit.reset_at - now()).total_seconds())
    return 0.0


def _summary(error: EventsApiError, tries: int, taken: float) -> str:
    words = str(error)
    status = f"{error.status} " if error.status and str(error.status) not in words else ""
    times = "once" if tries == 1 else f"{tries} times"
    return f"{status}{words}; tried {times} in {taken:.1f} s"
