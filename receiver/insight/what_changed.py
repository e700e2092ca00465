"""What happened around a moment: reads the events from the API, with a few requests, and orders them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from apitraffic_events.client import EventsClient
from apitraffic_events.event import EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import format_timestamp
from receiver.insight.nearby_events import NearbyEvent, ScopeFilter, histories, nearby_event_of
from receiver.insight.nearness import nearest

MOST_LOOKED_AT: Final = 500
"""Most events of the period, and most incidents before it, that are read: five requests for each."""
LONGEST_INCIDENT: Final = timedelta(days=7)
"""How long before the period an incident may have begun."""
LATEST_DEPLOYS: Final = 100
"""Deploys up to the end of the period, read with one request: for what ran before, and for long deploys."""


@dataclass(frozen=True, slots=True)
class Question:
    """What happened from `within` before the moment until as long after it.

    `bucket` and `environment` are the SIDs of those on whose charts events are shown. Without `types`, events
    of all types count.
    """

    moment: datetime
    within: timedelta
    types: tuple[str, ...] = ()
    bucket: str | None = None
    environment: str | None = None
    scope: ScopeFilter = field(default_factory=ScopeFilter)

    @property
    def start(self) -> datetime:
        return self.moment - self.within

    @property
    def end(self) -> datetime:
        return self.moment + self.within

    def is_about(self, *types: str) -> bool:
        return not self.types or bool(set(types) & set(self.types))


@dataclass(frozen=True, slots=True)
class Answer:
    """`changes` are the nearest first. `is_complete` is false if there were too many events to read."""

    question: Question
    changes: tuple[NearbyEvent, ...]
    is_complete: bool

    @property
    def has_change_before(self) -> bool:
        """Whether there was anything but incidents before the moment, or at it."""
        return any(not one.is_incident and one.near.offset <= timedelta() for one in self.changes)

    def as_json(
        self, moment: datetime, limit: int, event_as_json: Callable[[StoredEvent], dict[str, Any]]
    ) -> dict[str, Any]:
        """The object that docs/cli.md and docs/mcp.md describe, at most so many changes. `moment` is now."""
        return {
            "around": format_timestamp(self.question.moment),
            "from": format_timestamp(self.question.start),
            "to": format_timestamp(self.question.end),
            "now": format_timestamp(moment),
            "changes": [_as_json(change, event_as_json) for change in self.changes[:limit]],
            "leftOut": max(0, len(self.changes) - limit),
            "complete": self.is_complete,
        }


def answer(client: EventsClient, question: Question) -> Answer:
    """Raises `EventsApiError`."""
    found = list(islice(_of_period(client, question), MOST_LOOKED_AT + 1))
    incidents = list(islice(_earlier_incidents(client, question), MOST_LOOKED_AT + 1))
    deploys = _latest_deploys(client, question)
    on_charts = EventFilter(bucket=question.bucket, environment=question.environment)
    events = {
        event.sid: event
        for event in (*found, *incidents, *deploys)
        if question.is_about(event.type) and on_charts.includes(event) and question.scope.includes(event)
    }
    history = histories({event.sid: event for event in (*found, *deploys)}.values())
    near = nearest(events.values(), question.moment, question.within)
    return Answer(
        question,
        tuple(nearby_event_of(one, history) for one in near),
        is_complete=max(len(found), len(incidents)) <= MOST_LOOKED_AT,
    )


def _of_period(client: EventsClient, question: Question) -> Iterator[StoredEvent]:
    # The API filters by one type; if several are wanted, all events are read and filtered here.
    return client.iter_events(
        type=question.types[0] if len(question.types) == 1 else None,
        started_from=question.start,
        started_to=question.end,
        bucket=question.bucket,
        environment=question.environment,
    )


def _earlier_incidents(client: EventsClient, question: Question) -> Iterator[StoredEvent]:
    """Those that may have lasted into the period."""
    if question.is_about(EventType.INCIDENT):
        yield from client.iter_events(
            type=EventType.INCIDENT,
            started_from=question.start - LONGEST_INCIDENT,
            started_to=question.start,
            bucket=question.bucket,
            environment=question.environment,
        )


def _latest_deploys(client: EventsClient, question: Question) -> tuple[StoredEvent, ...]:
    """On all charts, because what ran before a deploy does not depend on where it is shown."""
    if not question.is_about(EventType.DEPLOYMENT):
        return ()
    page = client.list_events(type=EventType.DEPLOYMENT, started_to=question.end, limit=LATEST_DEPLOYS)
    return page.records


def _as_json(change: NearbyEvent, event_as_json: Callable[[StoredEvent], dict[str, Any]]) -> dict[str, Any]:
    previous, verdict = change.previous, change.verdict
    return {
        "when": change.near.description,
        "offsetSeconds": round(change.near.offset.total_seconds()),
        "outcome": change.outcome or None,
        "version": change.version,
        "previousVersion": change.previous_version,
        "course": previous.course.value if previous and previous.course else None,
        "compareUrl": change.compare_url,
        "url": change.url,
        "verdict": {"word": verdict.word.value, "line": verdict.line} if verdict else None,
        "event": event_as_json(change.event),
    }
