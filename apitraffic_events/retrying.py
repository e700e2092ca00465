"""When to call an API again, and calling it until it answers or the time is up (docs/ci-plugins.md)."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from apitraffic_events.errors import EventsApiError, RateLimited, ServerFailed, Unreachable
from apitraffic_events.timestamps import now

SHORTEST_REQUEST: Final = 0.1
LONGEST_REQUEST: Final = 10.0
"""Seconds; how long one request of a `Retrier` may take."""
LARGEST_EXPONENT: Final = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses after failures in a row: the limit doubles from `first` to `longest`. All are seconds.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """

    first: float
    longest: float
    shortest: float = 0.0

    def limit(self, failures: int) -> float:
        """The longest pause after this many failures, 1 or more."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, LARGEST_EXPONENT))

    def pause(self, failures: int) -> float:
        """A random pause up to the limit (full jitter), so that clients do not come back all at once."""
        return random.uniform(self.shortest, self.limit(failures))  # noqa: S311 - spreads load, keeps no secret


def requested_pause(error: EventsApiError) -> float | None:
    """Seconds that the API asks to wait, by `Retry-After` or the end of its rate limit's window.

    `None` if it does not say. Not bounded: an API may ask for any time.
    """
    if error.retry_after is not None:
        return max(0.0, error.retry_after)
    if isinstance(error, RateLimited) and error.rate_limit is not None:
        return max(0.0, (error.rate_limit.reset_at - now()).total_seconds())
    return None


BACKOFF: Final = Backoff(first=0.5, longest=8.0)
"""For a person or a CI job that waits for the answer."""


class OutOfTime(Exception):
    """The time is up and no attempt succeeded. The message holds the last error."""


class Client(Protocol):
    """What a `Retrier` needs of a client, such as `EventsClient`."""

    def wait_at_most(self, seconds: float) -> None: ...


class Retrier:
    """Makes calls of one client, each for at most `seconds` including its retries.

    `before_retry` is called with the error before each pause. With `gives_up_unconnected`, a host that is
    unknown or refuses connections is not tried again: right for a person who waits, and loses nothing.
    """

    def __init__(
        self,
        client: Client,
        seconds: float,
        *,
        before_retry: Callable[[EventsApiError], None] | None = None,
        gives_up_unconnected: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._seconds = seconds
        self._before_retry = before_retry
        self._gives_up_unconnected = gives_up_unconnected
        self._clock = clock
        self._sleep = sleep

    def call(self, request: Callable[[], T]) -> T:
        """The result of `request`, which is called again after a temporary failure.

        Raises `OutOfTime`, or the `EventsApiError` of a failure that another attempt cannot change.
        """
        began, attempts = self._clock(), 0
        while True:
            left = self._seconds - (self._clock() - began)
            self._client.wait_at_most(max(SHORTEST_REQUEST, min(LONGEST_REQUEST, left)))
            try:
                return request()
            except (RateLimited, ServerFailed, Unreachable) as error:
                if self._gives_up_unconnected and isinstance(error, Unreachable) and error.is_lasting:
                    raise
                attempts += 1
                # A pause of 0, or a moment that has passed, asks for nothing: not for a request at once.
                pause = requested_pause(error) or BACKOFF.pause(attempts)
                taken = self._clock() - began
                if taken + pause >= self._seconds:
                    raise OutOfTime(_summary(error, attempts, taken)) from error
                if self._before_retry is not None:
                    self._before_retry(error)
            self._sleep(pause)


def _summary(error: EventsApiError, attempts: int, taken: float) -> str:
    message = str(error)
    status = f"{error.status} " if error.status and str(error.status) not in message else ""
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{status}{message}; tried {times} in {taken:.1f} s"
