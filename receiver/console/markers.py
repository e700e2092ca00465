"""An event as the pages show it: one row of the table, one mark on the chart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from apitraffic_events.event import EVERYWHERE, EventType
from apitraffic_events.records import NO_NAME, StoredEvent
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.console.view import TYPES, View

FAILED: Final = frozenset(
    {"failure", "failed", "error", "aborted", "canceled", "cancelled", "unstable", "timed_out"}
)
"""What `metadata.status` says of a deploy or run that did not succeed."""
LONGEST_WORD: Final = 100
LONGEST_SEARCHED: Final = 20_000

Names = Mapping[str, str]
"""SID -> name."""


@dataclass(frozen=True, slots=True)
class Marker:
    """`started_at` is the creation for an event without a start; `searched` is lower-case text."""

    event: StoredEvent
    started_at: datetime
    name: str
    type: str
    source: str
    environment: str
    status: str
    searched: str = field(repr=False)

    @property
    def sid(self) -> str:
        return self.event.sid

    @property
    def ended_at(self) -> datetime | None:
        return self.event.ended_at

    @property
    def is_open(self) -> bool:
        """An incident goes on until it has an end; other events without one are points."""
        return self.event.ended_at is None and self.type == EventType.INCIDENT

    @property
    def is_failed(self) -> bool:
        return self.status.lower() in FAILED

    @property
    def outcome(self) -> str:
        """One word, or none."""
        if self.type == EventType.INCIDENT:
            return "open" if self.is_open else "resolved"
        return self.status

    @property
    def lasts_until(self) -> datetime | None:
        """`None` while it goes on."""
        return None if self.is_open else self.event.ended_at or self.started_at


def marker_of(event: StoredEvent, environments: Names) -> Marker | None:
    """`None` for an event without any time, which has no place on a chart."""
    started_at = event.started_at or event.created_at
    if started_at is None:
        return None
    name = one_line(event.name, NAME_LIMIT) or NO_NAME
    return Marker(
        event=event,
        started_at=started_at,
        name=name,
        type=event.type if event.type in TYPES else EventType.CUSTOM.value,
        source=one_line(event.source or "", LONGEST_WORD),
        environment=_environment_of(event, environments),
        status=_text(event, "status") or _text(event, "state"),
        searched=_searched(event, name),
    )


def matching(markers: Iterable[Marker], view: View) -> list[Marker]:
    """Those that the view shows: what began in its period, and what lasted into it."""
    text = view.text.lower()
    return [
        marker
        for marker in markers
        if marker.started_at <= view.started_to
        and ((until := marker.lasts_until) is None or until >= view.started_from)
        and (not view.types or marker.type in view.types)
        and _is_in(view.bucket, marker.event.buckets)
        and _is_in(view.environment, marker.event.environments)
        and view.source in {"", marker.source}
        and (not text or text in marker.searched)
    ]


def _is_in(sid: str, places: tuple[str, ...]) -> bool:
    return not sid or places == EVERYWHERE or sid in places


def _environment_of(event: StoredEvent, environments: Names) -> str:
    if named := _text(event, "environment"):
        return named
    if event.environments == EVERYWHERE:
        return ""
    return one_line(", ".join(environments.get(sid, sid) for sid in event.environments), LONGEST_WORD)


def _text(event: StoredEvent, name: str) -> str:
    value = event.metadata.get(name)
    return one_line(value, LONGEST_WORD) if isinstance(value, str) else ""


def _searched(event: StoredEvent, name: str) -> str:
    values = (str(value) for value in event.metadata.values() if isinstance(value, str | int | float))
    return "\n".join((name, event.description or "", event.source or "", *values))[:LONGEST_SEARCHED].lower()
