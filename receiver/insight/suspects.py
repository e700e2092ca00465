"""What changed shortly before an incident, and which incidents began shortly after a change.

Only the order is claimed: the lines say what happened when, and people draw the conclusion.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from apitraffic_events.event import EventType, Instant, Model
from receiver.insight.records import DeployOutcome, Record, shares_scope

WITHIN: Final = timedelta(minutes=60)
"""How long before an incident a change is named, and after a change an incident."""
MOST: Final = 3
"""Changes that an incident names, and incidents that a change names."""
CHANGES: Final = frozenset({EventType.DEPLOYMENT, EventType.CONFIG_CHANGE, EventType.SCALE})


class Mention(Model):
    """Another marker, as one names it. `apart` is how long before or after this one it was."""

    key: str
    name: str
    url: str | None = None
    at: Instant
    apart: timedelta = timedelta()


def suspects_of(incident: Record, records: Iterable[Record]) -> tuple[Mention, ...]:
    """What changed in the incident's scope in the hour before it began, the nearest first.

    Of several deploys that replaced each other, only the last was there when it began. A deploy that failed,
    or that had not ended by then, replaced none: it is named beside the one that was live.

    A deploy that was under way when it began counts as at the same time. What was cancelled changed nothing.
    If the incident does not say where it is, what changed outside production comes last.
    """
    found = [
        record
        for record in records
        if record.type in CHANGES
        and record.key != incident.key
        and record.outcome is not DeployOutcome.CALLED_OFF
        and record.started_at <= incident.started_at
        and record.at > incident.started_at - WITHIN
        and shares_scope(record, incident)
    ]
    anywhere = incident.environment is None
    found = _without_replaced(found, incident.started_at)
    likely = [record for record in found if not (anywhere and record.is_production is False)]
    unlikely = [record for record in found if record not in likely]
    nearest = (*_nearest(likely, incident), *_nearest(unlikely, incident))
    return nearest[:MOST]


def incidents_after(change: Record, records: Iterable[Record]) -> tuple[Mention, ...]:
    """Incidents that name this change, the nearest first."""
    found = [
        _mention(record, record.started_at, record.started_at - change.at)
        for record in records
        if record.type is EventType.INCIDENT and change.key in record.suspects
    ]
    return _in_order(found)[:MOST]


def changes_between(earlier: Instant, deploy: Record, records: Iterable[Record]) -> tuple[Mention, ...]:
    """Changes of the configuration in the deploy's scope since the deploy before, the latest first."""
    found = [
        _mention(record, record.at, timedelta())
        for record in records
        if record.type is EventType.CONFIG_CHANGE
        and earlier < record.at <= deploy.at
        and shares_scope(record, deploy)
    ]
    return tuple(sorted(found, key=lambda mention: (mention.at, mention.key), reverse=True))


def disturbances(
    deploy: Record, periods: Iterable[tuple[Instant, Instant]], records: Iterable[Record]
) -> tuple[Record, ...]:
    """What else happened in these periods, so that a comparison would not be of this deploy alone.

    `periods` are what was before it and what was after it. Another deploy counts in both, an incident if it
    began in the later one. One that began before is what the deploy may have helped against.
    """
    before, after = periods
    found = [
        record
        for record in records
        if record.key != deploy.key
        and shares_scope(record, deploy)
        and (
            (_is_deploy(record) and (_overlaps(record, before) or _overlaps(record, after)))
            or (_is_incident(record) and after[0] <= record.started_at <= after[1])
        )
    ]
    return tuple(sorted(found, key=lambda record: (abs(record.at - deploy.at), record.key)))


def _is_deploy(record: Record) -> bool:
    return record.type is EventType.DEPLOYMENT and record.outcome not in {None, DeployOutcome.CALLED_OFF}


def _is_incident(record: Record) -> bool:
    return record.type is EventType.INCIDENT and record.outcome is not DeployOutcome.CALLED_OFF


def _overlaps(record: Record, period: tuple[Instant, Instant]) -> bool:
    return record.started_at <= period[1] and record.at >= period[0]


def _without_replaced(changes: Iterable[Record], moment: Instant) -> list[Record]:
    """Of each sequence of deploys the one that was live at this moment, and the latest one after it."""
    live: dict[object, Record] = {}
    tried: dict[object, Record] = {}
    for record in sorted(changes, key=lambda record: (record.at, record.key)):
        history = record.history
        target = (history, record.track, record.job) if history else record.key
        if record.outcome is DeployOutcome.SUCCEEDED and record.at <= moment:
            live[target] = record
            tried.pop(target, None)
        else:
            tried[target] = record
    return [*live.values(), *tried.values()]


def _nearest(changes: Iterable[Record], incident: Record) -> tuple[Mention, ...]:
    return _in_order(_mention(record, record.at, incident.started_at - record.at) for record in changes)


def _in_order(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    """The nearest first."""
    return tuple(sorted(mentions, key=lambda mention: (mention.apart, mention.key)))


def _mention(record: Record, at: Instant, apart: timedelta) -> Mention:
    apart = max(apart, timedelta())
    return Mention(key=record.key, name=record.name, url=record.url, at=at, apart=apart)
