"""Filters of the list of events: how they are spelled, and whether the API keeps to them.

The reference does not name the parameters: the metrics endpoints have `startDate`, the introduction shows
`start_date`, and an API that does not know a parameter ignores it. So each answer is compared with what was
asked. If it does not fit, the next spelling is tried, each once, and the one that works is used from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import pairwise
from typing import Final, Literal

from apitraffic_events.event import EVERYWHERE, EventType
from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import format_timestamp

FilterName = Literal["type", "start", "bucket", "environment"]

SPELLINGS: Final[dict[FilterName, tuple[tuple[str, ...], ...]]] = {
    "type": (("type",), ("eventType",), ("event_type",)),
    "start": (
        ("startDate", "endDate"),
        ("start_date", "end_date"),
        ("startTime", "endTime"),
        ("start_time", "end_time"),
        ("from", "to"),
    ),
    "bucket": (("bucketSid",), ("bucket_sid",), ("bucket",)),
    "environment": (("environmentSid",), ("environment_sid",), ("environment",)),
}
"""The parameters of each filter, the likeliest first."""
ROUNDING: Final = timedelta(minutes=1)
"""How far outside a period an event may start in an answer that keeps to it: an API may round times."""
CREATED_EARLIER: Final = timedelta(hours=1)
"""How long before its start an event may be created: clocks differ, and a start may be a little ahead."""


class Position(Enum):
    """Where a page of a list is, compared with the period that is wanted."""

    NEWER = auto()
    """All its events start after the period, and the newest come first."""
    AROUND = auto()
    PAST = auto()
    """No later page can hold an event of the period."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; `None` stands for all. The period includes both ends."""

    type: str | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None
    bucket: str | None = None
    environment: str | None = None

    def includes(self, event: StoredEvent) -> bool:
        """Whether the event matches. One without a start is taken to be in every period."""
        began_at = event.started_at
        return (
            self.type in {None, event.type}
            and (began_at is None or self.started_from is None or began_at >= self.started_from)
            and (began_at is None or self.started_to is None or began_at <= self.started_to)
            and _is_in(self.bucket, event.buckets)
            and _is_in(self.environment, event.environments)
        )

    def position_of(self, records: Sequence[StoredEvent]) -> Position:
        """Where a page with these records is. `AROUND` if the order of the list does not show it."""
        if not records:
            return Position.PAST
        starts = [record.started_at for record in records]
        last = starts[-1]
        if last is not None and is_descending(starts):
            if self.started_from is not None and last < self.started_from:
                return Position.PAST
            if self.started_to is not None and last > self.started_to:
                return Position.NEWER
            return Position.AROUND
        creations = [record.created_at for record in records]
        if self.started_from is not None and is_descending(creations):
            oldest = creations[-1]
            if oldest is not None and oldest < self.started_from - CREATED_EARLIER:
                return Position.PAST
        return Position.AROUND

    def values(self) -> dict[FilterName, tuple[str | None, ...]]:
        """The values of the filters that are set, in the order of their parameters."""
        period = tuple(
            format_timestamp(moment) if moment else None for moment in (self.started_from, self.started_to)
        )
        given: dict[FilterName, tuple[str | None, ...]] = {
            "type": (self.type,),
            "start": period,
            "bucket": (self.bucket,),
            "environment": (self.environment,),
        }
        return {name: values for name, values in given.items() if any(values)}

    def was_kept(self, name: FilterName, event: StoredEvent) -> bool:
        """Whether an API that knows this filter may have returned the event."""
        match name:
            case "type":
                return event.type == self.type
            case "start":
                return self._may_be_in_period(event)
            case "bucket":
                return _is_in(self.bucket, event.buckets)
            case "environment":
                return _is_in(self.environment, event.environments)

    def _may_be_in_period(self, event: StoredEvent) -> bool:
        """An API may also return what began before the period and lasted into it."""
        began_at = event.started_at
        if began_at is None:
            return True
        if self.started_to is not None and began_at > self.started_to + ROUNDING:
            return False
        if self.started_from is None or began_at >= self.started_from - ROUNDING:
            return True
        if event.ended_at is None:
            return event.type == EventType.INCIDENT
        return event.ended_at >= self.started_from - ROUNDING


class FilterSpellings:
    """How one API spells its filters, as far as its answers have shown it."""

    def __init__(self) -> None:
        self._left: dict[FilterName, tuple[tuple[str, ...], ...]] = dict(SPELLINGS)

    def in_use(self, name: FilterName) -> tuple[str, ...] | None:
        """The parameters that are sent for this filter; `None` once all spellings have been ignored."""
        return next(iter(self._left[name]), None)

    def query(self, wanted: EventFilter) -> dict[str, str]:
        """The parameters to send. A filter that the API does not know is left out."""
        return {
            parameter: value
            for name, values in wanted.values().items()
            for parameter, value in zip(self.in_use(name) or (), values, strict=False)
            if value is not None
        }

    def learn(self, wanted: EventFilter, records: Sequence[StoredEvent]) -> bool:
        """Give up the spellings that an answer to `query` shows to be ignored.

        Returns whether there was one, so that the same question in another spelling has another answer.
        """
        ignored = [
            name
            for name in wanted.values()
            if self._left[name] and not all(wanted.was_kept(name, record) for record in records)
        ]
        for name in ignored:
            self._left[name] = self._left[name][1:]
        return any(self._left[name] for name in ignored)

    def was_refused(self, wanted: EventFilter) -> bool:
        """The API refused the parameters: give up the least certain spelling.

        Returns whether there was one.
        """
        for name in ("start", "type", "bucket", "environment"):
            if name in wanted.values() and self._left[name]:
                self._left[name] = self._left[name][1:]
                return True
        return False


def _is_in(wanted: str | None, places: Sequence[str]) -> bool:
    return wanted is None or wanted in places or tuple(places) == EVERYWHERE


def is_descending(moments: Sequence[datetime | None]) -> bool:
    """Whether all are known, and none is later than the one before it."""
    known = [moment for moment in moments if moment is not None]
    return len(known) == len(moments) and all(first >= second for first, second in pairwise(known))
