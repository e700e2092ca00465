"""Events ordered by their distance from a time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent

LASTING: Final = frozenset({EventType.INCIDENT.value})
"""Types of which an event without an end goes on. Other events without an end happened at one moment."""
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Near:
    """An event and its distance from the time: negative if it was before, zero if it was under way."""

    event: StoredEvent
    offset: timedelta

    @property
    def description(self) -> str:
        if not self.offset:
            lasts = self.event.type in LASTING or self.event.ended_at is not None
            return "under way" if lasts else "at that moment"
        distance = abs(self.offset)
        side = "before" if self.offset < timedelta() else "after"
        if distance < MINUTE:
            return f"{distance.total_seconds():.0f} s {side}"
        if distance < 2 * HOUR:
            return f"{distance // MINUTE} min {side}"
        return f"{distance // HOUR} h {side}" if distance < 2 * DAY else f"{distance // DAY} d {side}"


def nearest(events: Iterable[StoredEvent], moment: datetime, within: timedelta) -> list[Near]:
    """The events that were within this distance, nearest first.

    A deploy counts up to its end, and an open incident up to now. At the same distance, events before the
    time come first, because they can be a cause.
    """
    near = [
        Near(event, offset)
        for event in events
        if (offset := _offset(event, moment)) is not None and abs(offset) <= within
    ]
    return sorted(near, key=lambda found: (abs(found.offset), found.offset > timedelta(), found.event.sid))


def _offset(event: StoredEvent, moment: datetime) -> timedelta | None:
    began_at = event.started_at or event.created_at
    if began_at is None:
        return None
    if moment < began_at:
        return began_at - moment
    if event.ended_at is None and event.type in LASTING:
        return timedelta()
    ended_at = max(began_at, event.ended_at or began_at)
    return min(timedelta(), ended_at - moment)
