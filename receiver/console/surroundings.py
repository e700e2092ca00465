"""What an event has to do with others: what ran before a deploy, what changed before an incident."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from apitraffic_events import StoredEvent
from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.console.known_events import Known
from receiver.insight.annotation import Insight
from receiver.insight.history import SHORT, Course
from receiver.insight.nearby_events import insight_of, key_of, told_verdict
from receiver.insight.suspects import WITHIN, Mention
from receiver.insight.verdict import Verdict
from receiver.wording import duration

SUBJECT: Final = ("service", "repository", "job")
"""The metadata of which the first names what is deployed."""


@dataclass(frozen=True, slots=True)
class Other:
    """Another event. `sid` is known if the console has read it; `url` is where its sender shows it."""

    name: str
    when: str = ""
    sid: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class EventSurroundings:
    """What the page of an event says of others.

    `before` is the version that ran before, and `earlier` how long before. `more` says in words whether more
    has changed since then than is named.
    """

    before: Other | None = None
    earlier: str = ""
    course: Course | None = None
    compare_url: str | None = None
    changed: tuple[Other, ...] = ()
    more: str = ""
    suspects: tuple[Other, ...] = ()
    incidents: tuple[Other, ...] = ()
    verdict: Verdict | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.before or self.changed or self.suspects or self.incidents or self.verdict)

    @classmethod
    def of(cls, event: StoredEvent, insight: Insight | None, known: Known) -> Self:
        """`insight` is what the receiver remembers; without one, the known events have to say it."""
        events = [marker.event for marker in known.markers]
        if insight is None:
            since = known.since or event.started_at or known.read_at
            insight = insight_of(event, _related(event, events), since) if since else Insight()
        sids = {key_of(other): other.sid for other in reversed(events)}
        previous, end = insight.previous, event.ended_at or event.started_at
        before = None
        if previous is not None:
            version = previous.version or (previous.commit or "")[:SHORT]
            before = Other(one_line(version, NAME_LIMIT), sid=sids.get(previous.key))
        return cls(
            before=before,
            earlier=duration(end - previous.at) if previous and end else "",
            course=previous.course if previous else None,
            compare_url=previous.compare_url if previous else None,
            changed=tuple(_other(mention, "", sids) for mention in insight.changed),
            more=_more(insight),
            suspects=tuple(
                _other(mention, _when(mention, "before", "under way then"), sids)
                for mention in insight.suspects
            ),
            incidents=tuple(
                _other(mention, _when(mention, "later", "meanwhile"), sids) for mention in insight.incidents
            ),
            verdict=told_verdict(event),
        )


def _more(insight: Insight) -> str:
    if insight.is_partial:
        return "perhaps more"
    more = insight.changed_count - len(insight.changed)
    return f"and {more} more" if more > 0 else ""


def _other(mention: Mention, when: str, sids: dict[str, str]) -> Other:
    return Other(one_line(mention.name, NAME_LIMIT), when, sids.get(mention.key), mention.url)


def _when(mention: Mention, side: str, at_once: str) -> str:
    return f"{duration(mention.apart)} {side}" if mention.apart else at_once


def _related(event: StoredEvent, others: Iterable[StoredEvent]) -> Iterable[StoredEvent]:
    """Without most of the thousands that cannot matter: deploys of something else at another time."""
    subject = [event.metadata.get(name) for name in SUBJECT]
    near = WITHIN * 2
    for other in others:
        is_near = _apart(event, other) <= near
        is_of_subject = [other.metadata.get(name) for name in SUBJECT] == subject
        if is_near or other.type == EventType.CONFIG_CHANGE or is_of_subject:
            yield other


def _apart(one: StoredEvent, other: StoredEvent) -> timedelta:
    """Between their nearest ends."""
    times = [(event.started_at, event.ended_at or event.started_at) for event in (one, other)]
    (start, end), (other_start, other_end) = times
    if start is None or end is None or other_start is None or other_end is None:
        return timedelta.max
    return max(start - other_end, other_start - end, timedelta())
