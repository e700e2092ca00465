"""From the names of buckets and environments in routes to the SIDs that the Events API takes."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import Rejected
from apitraffic_events.event import EVERYWHERE, Event
from apitraffic_events.records import Record

BUCKET_SID: Final = re.compile(r"bkt_[A-Za-z0-9]+")
FRESH_FOR: Final = 600.0
"""Seconds for which a fetched list of names is used."""


class UnknownPlace(Exception):
    """No bucket or environment has this name or SID; the message lists those that exist."""


class Scopes:
    """Looks names up in the API and remembers them."""

    def __init__(self, client: EventsClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = _Directory("bucket", client.list_buckets, clock, BUCKET_SID)
        self._environments = _Directory("environment", client.list_environments, clock)

    def resolve(self, event: Event) -> Event:
        """The event with SIDs for names. A name that the account does not have is left out and logged.

        If none is left, the event is shown everywhere: a marker in too many places is better than none.
        Raises `EventsApiError` if the lists cannot be fetched now.
        """
        if event.buckets == EVERYWHERE and event.environments == EVERYWHERE:
            return event
        return event.with_scope(
            self._buckets.sids(event.buckets), self._environments.sids(event.environments)
        )

    def require_buckets(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Their SIDs; raises `UnknownPlace`, or `EventsApiError` if the list cannot be fetched now."""
        return self._buckets.require(wanted)

    def require_environments(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """As `require_buckets`; if the API has no list of environments, what is wanted is taken as it is."""
        return self._environments.require(wanted)


class _Directory:
    def __init__(
        self,
        kind: str,
        fetch: Callable[[], Iterable[Record]],
        clock: Callable[[], float],
        sid: re.Pattern[str] | None = None,
    ) -> None:
        self._sid = sid
        self._kind = kind
        self._fetch = fetch
        self._clock = clock
        self._fetched_at: float | None = None
        self._sids: dict[str, str] | None = None

    def sids(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        found, missing = self._split(wanted)
        if missing:
            from structlog import get_logger  # noqa: PLC0415 - commands that log nothing need not wait for it
        for name in missing:
            get_logger("receiver.scopes").error(
                f"a route names a {self._kind} that this account does not have",
                name=name,
                known=self._known(),
                advice="correct the [[route]] in apitraffic.toml",
            )
        return found or EVERYWHERE

    def require(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        found, missing = self._split(wanted)
        if missing:
            raise UnknownPlace(f"there is no {self._kind} {missing[0]!r}; there are: {self._known()}")
        return found

    def _split(self, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
        """The SIDs of those that exist, and the names of those that do not."""
        if wanted == EVERYWHERE or all(self._is_sid(place) for place in wanted):
            return wanted, []
        self._refresh()
        if self._sids is None:
            return wanted, []
        found = dict.fromkeys(self._sids[name] for name in wanted if name in self._sids)
        return tuple(found), [name for name in wanted if name not in self._sids]

    def _known(self) -> str:
        return ", ".join(sorted(self._sids or ())) or "none"

    def _is_sid(self, place: str) -> bool:
        """Whether this is certainly a SID; that of an environment, six characters, could be a name."""
        return self._sid is not None and self._sid.fullmatch(place) is not None

    def _refresh(self) -> None:
        if self._fetched_at is not None and self._clock() - self._fetched_at < FRESH_FOR:
            return
        try:
            records = tuple(self._fetch())
        except Rejected:
            # The reference does not say how environments are listed, so the API may have no such list. What
            # the route says is then taken as it is.
            self._sids = None
        else:
            by_name = {record.name: record.sid for record in records if record.name}
            self._sids = by_name | {record.sid: record.sid for record in records}
        self._fetched_at = self._clock()
