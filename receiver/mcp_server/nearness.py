"""What changed around a moment: events ordered by how near they were. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent

LASTING: Final = frozenset({EventType.INCIDENT.value})
"""Types that go on for as long as they have no end; the others without one happened at one moment."""
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Near:
    """An event and how far its nearest point is from the moment: negative before it, zero while it lasted."""

    event: StoredEvent
    offset: timedelta

    @property
    def words(self) -> str:
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
    """Those that were within this distance, the nearest first.

    A deploy that ended just before counts from its end, an incident that is still open reaches to now. At
    the same distance what came before goes first: it may be a cause, what came after may not.
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
