"""Doubt after a request whose answer proves nothing: what is unknown, and how long to wait."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from receiver.delivery.marker_lock import MarkerLock
from receiver.delivery.markers import Marker

LIST_LAG: Final = timedelta(seconds=10)
"""How far the API's lists may be behind what it has created."""
A_MOMENT: Final = timedelta(seconds=1)
"""How long after its doubt was saved a request may leave."""


class Unsettled(Exception):
    """A request about this marker may still be carried out, or its result may not be listed yet.

    `wait` is in seconds.
    """

    def __init__(self, wait: timedelta) -> None:
        self.wait = max(0.0, wait.total_seconds())
        super().__init__(f"an earlier request may still take effect within {self.wait:.0f} s")


class Doubts:
    """Decides when it is certain what a request has done.

    `settle` is how long after it was sent, or after an answer that proves nothing, the API may still carry it
    out. Only a look-up that began after that, and after the lists have caught up, proves that there is no
    event.
    """

    def __init__(self, settle: timedelta, clock: Callable[[], datetime]) -> None:
        self._settle = settle
        self._clock = clock

    def require_settled(self, marker: Marker) -> None:
        """Raises `Unsettled` while a request may still be carried out: an update that arrives late would undo
        a newer one.
        """
        if marker.unanswered_since is not None:
            wait = marker.unanswered_since + self._settle - self._clock()
            if wait > timedelta():
                raise Unsettled(wait)

    def require_news(self, marker: Marker) -> None:
        """Raises `Unsettled` if the event was looked for in vain, and to look again would prove no more."""
        if marker.looked_at is None or marker.unanswered_since is None:
            return
        following = self._next_look(marker.unanswered_since, after=marker.looked_at)
        if following is not None and self._clock() < following:
            raise Unsettled(following - self._clock())

    def require_absent(self, marker: Marker, asked_at: datetime) -> None:
        """Raises `Unsettled` unless a look-up in vain that began then proves that there is no event."""
        if marker.unanswered_since is not None:
            following = self._next_look(marker.unanswered_since, after=asked_at)
            if following is not None:
                raise Unsettled(following - self._clock())

    def is_last_look(self, marker: Marker, asked_at: datetime) -> bool:
        """Whether an event would be created if nothing was found now."""
        since = marker.unanswered_since
        return marker.is_in_doubt and (since is None or self._next_look(since, after=asked_at) is None)

    def _next_look(self, since: datetime, after: datetime) -> datetime | None:
        """An event is looked for at once, once the request is over, and once that would be listed."""
        over = since + self._settle
        return next((moment for moment in (since, over, over + LIST_LAG) if after < moment), None)


class Request:
    """Saves that a request about the marker begins, which its answer may leave in doubt.

    A worker may be held up between the two, for a minute or an hour, and the request must not leave long
    after the time that was saved, or under a lock that is lost.
    """

    def __init__(self, marker: Marker, lock: MarkerLock, clock: Callable[[], datetime]) -> None:
        self._marker = marker
        self._lock = lock
        self._clock = clock
        self._began_at = self._begin()

    def before_sending(self) -> None:
        """Saves again unless that was a moment ago; raises as `MarkerLock.save_doubt` does."""
        while self._clock() - self._began_at > A_MOMENT:
            self._began_at = self._begin()

    def _begin(self) -> datetime:
        began_at = self._clock()
        self._lock.save_doubt(self._marker.in_doubt(began_at))
        return began_at
