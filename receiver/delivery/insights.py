"""What a marker says beyond its own changes: looked up when it is delivered, and once more when that may have
changed.

A delivery notes its marker in the timeline and reads what is around it, in one round trip. For other markers
that are affected, it plans a second look. A second look is a job like any other, so it survives what
deliveries survive; by itself it changes nothing. The verdict on a deploy is a second look, too.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from pydantic import ValidationError
from structlog import get_logger

from apitraffic_events.client import LARGEST_PAGE, EventsClient
from apitraffic_events.errors import Rejected
from apitraffic_events.event import Event, EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import StoredEvent
from receiver.delivery.budget import RequestBudget
from receiver.delivery.markers import Marker
from receiver.delivery.verdicts import FIGURES_PAUSE, SHARE, VerdictRules, Verdicts, judged_after
from receiver.insight.annotation import MOST_NAMED, Insight, name_of, without_insight
from receiver.insight.direct import has_the_latest
from receiver.insight.history import concerned_by, is_certain, previous_of
from receiver.insight.records import DeployOutcome, Record, listed_record, record_of, shares_scope
from receiver.insight.suspects import (
    CHANGES,
    WITHIN,
    Mention,
    changes_between,
    incidents_after,
    suspects_of,
)
from receiver.insight.timeline import (
    HISTORY_LIFETIME,
    MOST_NEAR,
    TIMELINE_LIFETIME,
    Period,
    Surroundings,
    Timeline,
    around,
)

UNTIL_SECOND_LOOK: Final = timedelta(seconds=2)
"""Deliveries that belong together arrive together: one look for all of them."""


class Insights:
    """Computes the insights of one account's markers."""

    def __init__(
        self,
        timeline: Timeline,
        client: EventsClient,
        budget: RequestBudget,
        clock: Callable[[], datetime],
        rules: VerdictRules | None = None,
    ) -> None:
        """Without `rules`, no deploy is judged."""
        self._timeline = timeline
        self._client = client
        self._budget = budget
        self._clock = clock
        self._verdicts = Verdicts(timeline, budget, clock, rules)

    def of(self, marker: Marker, event: Event, remembers_since: datetime) -> Insight | None:
        """The insight of this marker, which shows this event; `None` if there is none.

        Reads and writes only if something of the event has changed since. Raises `RedisError`.
        """
        record = _record_of(marker, event)
        known = marker.insight
        if record is None:
            if known is not None:
                self.forget(marker)
            kept = Insight(is_edited=marker.is_edited, unanswered=marker.unanswered)
            return kept if kept != Insight() else None
        noted = _digest(record)
        if known is not None and known.noted == noted:
            return known
        look_at = self._verdicts.due(record, marker, known)
        insight = self._around(
            record, event, known or Insight(), remembers_since, is_new=True, look_at=look_at
        )
        if self._is_to_look_up(record, insight, remembers_since):
            self._look_again([marker.key])
        return insight.model_copy(update={"noted": noted})

    def second_look(self, marker: Marker, event: Event, remembers_since: datetime) -> Insight | None:
        """Its insight now. May ask the API, if enough of the budget is left.

        Raises `RedisError` and `EventsApiError`.
        """
        record = _record_of(marker, event)
        if record is None or marker.insight is None:
            return self.of(marker, event, remembers_since)
        insight = self._around(record, event, marker.insight, remembers_since, is_new=False)
        if self._is_to_look_up(record, insight, remembers_since) and self._may_ask():
            try:
                self._look_up(record)
            except Rejected as error:
                # Asking again would not help, and there is more to be said.
                log = get_logger("receiver.insight")
                log.warning("the API does not list what was before", reason=str(error), key=record.key)
            insight = self._around(record, event, insight, remembers_since, is_new=False)
            insight = insight.model_copy(update={"is_looked_up": True})
        insight = self._verdicts.judged(record, marker, insight)
        return insight.model_copy(update={"noted": _digest(record)})

    def begin_look(self, key: str) -> str:
        """As `Timeline.begin_look`."""
        return self._timeline.begin_look(key, self._clock())

    def looked(
        self, key: str, planned: str, marker: Marker, event: Event | None, remembers_since: datetime
    ) -> None:
        """The second look that began with `begin_look` is over; plans the next one.

        `event` is what the marker shows, without its insight. Raises `RedisError`.
        """
        record = _record_of(marker, event) if event is not None else None
        due = None if record is None else self._verdicts.next_look(record, marker)
        if record is not None and self._is_to_look_up(record, marker.insight, remembers_since):
            wait = timedelta(seconds=self._budget.seconds_until_share(SHARE))
            due = self._clock() + max(wait, FIGURES_PAUSE)
        self._timeline.looked(key, planned, due if key == marker.key else None)
        if due is not None and key != marker.key:
            self._timeline.look_again([marker.key], due)

    def forget(self, marker: Marker, event: Event | None = None) -> None:
        """Forget a marker that is not or no longer shown, and plan second looks at the markers that name it.

        `event` is what it was to show, if that is not what was sent last. Raises `RedisError`.
        """
        event = event or marker.sent or (marker.changes[-1].event if marker.changes else None)
        record = _record_of(marker, event) if event is not None else None
        if record is None or marker.insight is None:
            return
        concerned = {mention.key for mention in (*marker.insight.suspects, *marker.insight.incidents)}
        surroundings = self._timeline.read(record, self._periods(record))
        concerned |= self._verdicts.disturbed(record, surroundings.near, is_known=True)
        if record.type is not EventType.INCIDENT:
            concerned |= _concerned(record, surroundings)
        # Before it is forgotten: a worker that dies in between does this again.
        self._look_again(concerned)
        self._timeline.forget(record)

    def _around(
        self,
        record: Record,
        event: Event,
        known: Insight,
        remembers_since: datetime,
        *,
        is_new: bool,
        look_at: datetime | None = None,
    ) -> Insight:
        """Note the record and read what is around it. If it `is_new`, others are planned to be looked at.

        `look_at` is when this marker itself is.
        """
        suspects = tuple(mention.key for mention in known.suspects)
        noted = record.model_copy(update={"suspects": suspects, "name": name_of(event, known.previous)})
        surroundings = self._timeline.note(noted, self._periods(record), look_at)
        if is_new:
            is_known = known.noted is not None
            self._look_again(self._verdicts.disturbed(record, surroundings.near, is_known=is_known))
        if record.type is EventType.INCIDENT:
            return self._of_incident(record, known, surroundings)
        if is_new:
            self._look_again(_concerned(record, surroundings))
        incidents = incidents_after(record, surroundings.near)
        if record.type is not EventType.DEPLOYMENT:
            return known.model_copy(update={"incidents": incidents})
        previous = previous_of(record, surroundings.history)
        if not is_certain(record, previous, surroundings.history):
            previous = known.previous
        if (name := name_of(event, previous)) != noted.name:
            # Others name it as it is shown.
            self._timeline.note(noted.model_copy(update={"name": name}))
            self._look_again(mention.key for mention in incidents)
        changed: Sequence[Mention] = ()
        is_partial = False
        if previous is not None:
            changed = changes_between(previous.at, record, surroundings.near)
            oldest = max(remembers_since, self._clock() - TIMELINE_LIFETIME)
            is_partial = len(changed) >= MOST_NEAR or previous.at < oldest
        is_known = known.is_looked_up or any(each.at < record.at for each in surroundings.history)
        return known.model_copy(
            update={
                "previous": previous,
                "changed": tuple(changed[:MOST_NAMED]),
                "changed_count": len(changed),
                "is_partial": is_partial and bool(changed),
                "incidents": incidents,
                "is_looked_up": is_known,
            }
        )

    def _periods(self, record: Record) -> tuple[Period, ...]:
        """The records that the insight of a marker of this type needs."""
        at = record.at
        if record.type is EventType.DEPLOYMENT:
            return (
                Period(EventType.CONFIG_CHANGE, None, at, is_latest=True),
                Period(EventType.INCIDENT, record.started_at, at + WITHIN),
                *self._verdicts.periods(record),
            )
        if record.type is EventType.INCIDENT:
            # A deploy may be judged by figures of a time that began longer ago.
            reaches = dict.fromkeys(CHANGES, WITHIN)
            reaches[EventType.DEPLOYMENT] = max(WITHIN, self._verdicts.reach)
            return tuple(
                period for type_, reach in reaches.items() for period in around(type_, at, reach, WITHIN)
            )
        incidents = Period(EventType.INCIDENT, at, at + WITHIN)
        return (incidents, Period(EventType.DEPLOYMENT, at, at + HISTORY_LIFETIME))

    def _of_incident(self, record: Record, known: Insight, surroundings: Surroundings) -> Insight:
        """What changed before it; an incident that turned out to be part of another names nothing."""
        suspects: tuple[Mention, ...] = ()
        if record.outcome is not DeployOutcome.CALLED_OFF:
            suspects = suspects_of(record, surroundings.near)
        keys = tuple(mention.key for mention in suspects)
        if keys != tuple(mention.key for mention in known.suspects):
            self._timeline.note(record.model_copy(update={"suspects": keys}))
        concerned = {mention.key for mention in (*suspects, *known.suspects)}
        if suspects != known.suspects or known.noted is None or known.noted != _digest(record):
            self._look_again(concerned)
        return known.model_copy(update={"suspects": suspects})

    def _look_again(self, keys: Iterable[str]) -> None:
        self._timeline.look_again(keys, self._clock() + UNTIL_SECOND_LOOK)

    def _is_to_look_up(self, record: Record, insight: Insight | None, remembers_since: datetime) -> bool:
        """Whether Redis may have lost the deploy before this one, or what changed before this incident."""
        if record.type is EventType.INCIDENT:
            is_known = insight is not None and insight.is_looked_up
            may_be_lost = record.started_at - WITHIN < remembers_since
            return record.outcome is not DeployOutcome.CALLED_OFF and not is_known and may_be_lost
        is_known = insight is not None and (insight.previous is not None or insight.is_looked_up)
        may_be_lost = record.at - remembers_since < HISTORY_LIFETIME
        return record.history is not None and not is_known and may_be_lost

    def _may_ask(self) -> bool:
        return self._budget.seconds_until_share(SHARE) == 0

    def _look_up(self, record: Record) -> None:
        """Ask the API for earlier deploys, with one request. The answer is filtered again here."""
        if record.type is EventType.INCIDENT:
            self._look_up_changes(record)
            return
        wanted = EventFilter(type=EventType.DEPLOYMENT.value, started_to=record.at)
        page = self._client.list_page(wanted)
        if not has_the_latest(page):
            return  # What ran before may be on another page.
        found = (listed_record(event, _key_of(event)) for event in page.records)
        known = (
            each
            for each in found
            if each is not None and each.history == record.history and each.at <= record.at
        )
        self._timeline.add_to_history(islice(known, LARGEST_PAGE))

    def _look_up_changes(self, incident: Record) -> None:
        """Ask the API for what changed before this incident: one request. `suspects_of` checks the times."""
        # A deploy that is drawn as a span may have begun long before its end, which counts.
        start = incident.started_at - 2 * WITHIN
        page = self._client.list_page(EventFilter(started_from=start, started_to=incident.started_at))
        found = (listed_record(_without_insight(event), _key_of(event)) for event in page.records)
        self._timeline.add(each for each in found if each is not None and each.type in CHANGES)


def _record_of(marker: Marker, event: Event) -> Record | None:
    """What to remember of it. A point says with its change how long the deploy took."""
    if not marker.changes:
        return None
    record = record_of(event, marker.key, marker.changes[0].occurred_at)
    if record is not None and record.type is EventType.DEPLOYMENT:
        record = record.model_copy(update={"judged_after": judged_after(marker)})
    if record is None or record.has_ended or record.type is not EventType.DEPLOYMENT:
        return record
    lasted = next((change.lasted for change in reversed(marker.changes) if change.lasted), timedelta())
    return record.model_copy(update={"started_at": record.started_at - lasted})


def _key_of(event: StoredEvent) -> str:
    return str(event.metadata.get("marker_key") or event.sid)


def _without_insight(event: StoredEvent) -> StoredEvent:
    """The event with its name, without the word of a verdict."""
    try:
        own, _ = without_insight(event.as_event())
    except ValidationError:
        return event
    return event.model_copy(update={"name": own.name})


def _concerned(record: Record, surroundings: Surroundings) -> set[str]:
    """The markers that may have to name this one now."""
    incidents = {
        other.key
        for other in surroundings.near
        if other.type is EventType.INCIDENT and shares_scope(other, record)
    }
    if record.type is EventType.CONFIG_CHANGE:
        return incidents | {
            other.key
            for other in surroundings.near
            if other.type is EventType.DEPLOYMENT and shares_scope(other, record)
        }
    return incidents | {other.key for other in concerned_by(record, surroundings.history)}


def _digest(record: Record) -> str:
    return hashlib.sha256(record.model_dump_json(exclude={"suspects"}).encode()).hexdigest()[:16]
