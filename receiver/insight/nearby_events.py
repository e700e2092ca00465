"""What is known of an event that was near a moment: how it ended, what ran before it, what it did. Pure.

What the receiver has written into an event takes precedence, because it knew more than the events that are
read here. Events that a plugin has posted directly have no insight, so it is computed from their neighbours.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.insight.annotation import MOST_NAMED, Insight, without_insight
from receiver.insight.history import SHORT, Course, Previous, previous_of
from receiver.insight.nearness import Near
from receiver.insight.records import FACT_LIMIT, Record, is_same_environment, listed_record, shares_scope
from receiver.insight.suspects import WITHIN, changes_between, incidents_after, suspects_of
from receiver.insight.verdict import Verdict
from receiver.wording import duration

MARKER_KEY: Final = "marker_key"
LONGEST_OUTCOME: Final = 40
LINK: Final = re.compile(r"https?://\S{1,2000}")
COURSES: Final = {Course.ROLLBACK: " (rollback)", Course.REDEPLOY: " (again)"}


@dataclass(frozen=True, slots=True)
class NearbyEvent:
    """An event near a moment, and what is known of it beyond its own fields.

    `outcome` is empty if nothing says how it ended. `version` and `previous` are those of a deploy. `url` is
    where the sender shows it.
    """

    near: Near
    outcome: str
    version: str | None
    previous: Previous | None
    verdict: Verdict | None
    url: str | None

    @property
    def event(self) -> StoredEvent:
        return self.near.event

    @property
    def is_incident(self) -> bool:
        return self.event.type == EventType.INCIDENT

    @property
    def previous_version(self) -> str | None:
        if self.previous is None:
            return None
        return self.previous.version or (self.previous.commit or "")[:SHORT] or None

    @property
    def compare_url(self) -> str | None:
        return self.previous.compare_url if self.previous else None

    @property
    def versions(self) -> str:
        """`v2.3.0 → v2.3.1`, or as much of it as is known."""
        before, now = self.previous_version, self.version
        course = self.previous.course if self.previous else None
        if now is None or before is None:
            return now or ""
        if course is Course.REDEPLOY:
            return f"{now}{COURSES[course]}"
        return f"{before} → {now}{COURSES[course] if course else ''}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event belongs: on which charts, and to which environment, as its sender calls it."""

    buckets: tuple[str, ...]
    environments: tuple[str, ...]
    environment: str | None

    @classmethod
    def of(cls, event: StoredEvent) -> Self:
        return cls(event.buckets, event.environments, _text(event.metadata.get("environment")))


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """Which events count: those of this environment, as senders call it, and those that share the scope of
    the event `of`, which does not count itself. What names no environment may be of any.
    """

    environment: str | None = None
    of: StoredEvent | None = None

    def includes(self, event: StoredEvent) -> bool:
        place = Place.of(event)
        if self.of is not None and (event.sid == self.of.sid or not shares_scope(Place.of(self.of), place)):
            return False
        return is_same_environment(self.environment, place.environment)


def key_of(event: StoredEvent) -> str:
    """The key of its marker; the SID of an event that has none."""
    key = event.metadata.get(MARKER_KEY)
    return key if isinstance(key, str) and key else event.sid


def record_for(event: StoredEvent) -> Record | None:
    """What to remember of it, under the key of its marker."""
    return listed_record(event, key_of(event), event.created_at)


def nearby_event_of(near: Near, history: Mapping[str, Sequence[Record]]) -> NearbyEvent:
    """`history` has the deploys that are known, as `histories` sorts them."""
    event = near.event
    record = record_for(event) if event.type == EventType.DEPLOYMENT else None
    previous = version = None
    if record is not None:
        previous = told_previous(event) or previous_of(record, history.get(record.history or "", ()))
        is_back = previous is not None and previous.course is Course.ROLLBACK
        version = (previous.version_now if previous and is_back else None) or record.version
    links = (_link(event.metadata.get(name)) for name in ("url", "run_url"))
    return NearbyEvent(
        near=near,
        outcome=_outcome(event),
        version=version,
        previous=previous,
        verdict=told_verdict(event),
        url=next(filter(None, links), None),
    )


def insight_of(event: StoredEvent, others: Iterable[StoredEvent], since: datetime) -> Insight:
    """The insight of this event, computed from these events, which are all that began since `since`.

    For an event of which the receiver remembers nothing, such as one that a plugin has posted directly.
    """
    own = record_for(event)
    if own is None:
        return Insight()
    found = (record for other in (*others, event) if (record := record_for(other)) is not None)
    records = tuple({record.key: record for record in found}.values())
    if own.type is EventType.INCIDENT:
        return Insight(suspects=suspects_of(own, records))
    previous = told_previous(event) or (previous_of(own, records) if own.history else None)
    changed = changes_between(previous.at, own, records) if previous else ()
    began = [
        record.model_copy(update={"suspects": tuple(each.key for each in suspects_of(record, records))})
        for record in records
        if record.type is EventType.INCIDENT and own.started_at <= record.started_at <= own.at + WITHIN
    ]
    return Insight(
        previous=previous,
        changed=changed[:MOST_NAMED],
        changed_count=len(changed),
        is_partial=bool(changed) and previous is not None and previous.at < since,
        incidents=incidents_after(own, began),
        verdict=told_verdict(event),
    )


def histories(events: Iterable[StoredEvent]) -> dict[str, list[Record]]:
    """The deploys among these events, by what was deployed where."""
    found: dict[str, list[Record]] = {}
    for event in events:
        record = record_for(event) if event.type == EventType.DEPLOYMENT else None
        if record is not None and record.history is not None:
            found.setdefault(record.history, []).append(record)
    return found


def told_verdict(event: StoredEvent, length: timedelta | None = None) -> Verdict | None:
    """The verdict that the receiver has written into it; with a `length`, only if its windows are so long."""
    if not isinstance(event.metadata.get("verdict"), str):
        return None
    verdict = without_insight(event.as_event())[1]
    is_wanted = length is None or (
        verdict is not None and re.match(f"{duration(length)} after\\b", verdict.line) is not None
    )
    return verdict if is_wanted else None


def told_previous(event: StoredEvent) -> Previous | None:
    """What ran before it, as the receiver has written it into its metadata."""
    facts = event.metadata
    at = parse_timestamp(facts.get("previous_deployed_at"))
    version, commit = _text(facts.get("previous_version")), _text(facts.get("previous_commit"))
    if at is None or (version is None and commit is None):
        return None
    course = facts.get("course")
    return Previous(
        key="",
        version=version,
        commit=commit,
        at=at,
        compare_url=_link(facts.get("compare_url")),
        course=Course(course) if isinstance(course, str) and course in set(Course) else None,
    )


def _outcome(event: StoredEvent) -> str:
    """What `metadata.status` says; of an incident, whether it goes on."""
    if event.type == EventType.INCIDENT:
        return "open" if event.ended_at is None else "resolved"
    status = event.metadata.get("status")
    return one_line(status, LONGEST_OUTCOME) if isinstance(status, str) else ""


def _text(value: object) -> str | None:
    return (one_line(value, FACT_LIMIT) or None) if isinstance(value, str) else None


def _link(value: object) -> str | None:
    """A link that can be shown whole, or none."""
    is_link = isinstance(value, str) and LINK.fullmatch(value) and value.isprintable()
    return str(value) if is_link else None
