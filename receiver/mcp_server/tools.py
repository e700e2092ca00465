"""The tools: functions that take an `EventsClient` and validated arguments and return JSON values.

Each raises `EventsApiError`, `UnknownPlace`, or `ToolRefused` with what to do instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from apitraffic_events.client import EventsClient
from apitraffic_events.event import EventType
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from apitraffic_events.updates import closing, merge_metadata
from receiver.delivery.asked_events import LOOK_BACK, event_named
from receiver.delivery.scopes import Scopes, UnknownPlace
from receiver.insight.nearby_events import ScopeFilter
from receiver.insight.what_changed import Question, answer
from receiver.mcp_server.arguments import (
    Arguments,
    CloseIncident,
    CreateEvent,
    ListEvents,
    OneEvent,
    UpdateEvent,
    WhatChanged,
)
from receiver.mcp_server.results import CHANGES, DELETED, EVENT, EVENTS, Schema
from receiver.wording import duration

LONGEST_SHOWN: Final = 100
LONGEST_LIST: Final = 2_000
"""Characters of a list of known buckets or environments."""
RECENT: Final = timedelta(hours=24)


class ToolRefused(Exception):
    """The tool refuses the call; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Tool:
    """An `is_additive` tool only adds data; calling an `is_repeatable` one again changes nothing more."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    call: Callable[[EventsClient, Any], dict[str, Any]]
    result: Schema
    reads_only: bool = False
    is_additive: bool = False
    is_repeatable: bool = False


def list_events(client: EventsClient, wanted: ListEvents) -> dict[str, Any]:
    scopes = Scopes(client)
    page = client.list_events(
        type=wanted.type,
        started_from=wanted.started_from,
        started_to=wanted.started_to,
        bucket=_place(scopes.require_buckets, wanted.bucket),
        environment=_place(scopes.require_environments, wanted.environment),
        limit=wanted.limit,
        page=wanted.page,
    )
    events = [as_json(event) for event in page.records]
    return {"now": format_timestamp(now()), "events": events, "page": wanted.page, "hasMore": page.has_more}


def what_changed(client: EventsClient, wanted: WhatChanged) -> dict[str, Any]:
    event = named(client, wanted.event) if wanted.event is not None else None
    began_at = (event.started_at or event.created_at) if event is not None else None
    scopes = Scopes(client)
    question = Question(
        moment=wanted.around or began_at or now(),
        within=timedelta(minutes=wanted.minutes),
        types=wanted.types,
        bucket=_place(scopes.require_buckets, wanted.bucket),
        environment=_charts_of(scopes, wanted.environment),
        scope=ScopeFilter(wanted.deployed_to, event),
    )
    found = answer(client, question).as_json(now(), wanted.limit, as_json)
    changes = [
        {name: value for name, value in change.items() if value is not None} for change in found["changes"]
    ]
    about = {"about": as_json(event)} if event is not None else {}
    return found | {"changes": changes} | about


def _charts_of(scopes: Scopes, environment: str | None) -> str | None:
    try:
        return _place(scopes.require_environments, environment)
    except UnknownPlace as error:
        raise ToolRefused(
            f"{one_line(str(error), LONGEST_LIST)}. Where it was deployed to is deployedTo."
        ) from error


def named(client: EventsClient, name: str) -> StoredEvent:
    event = event_named(client, name)
    if event is None:
        raise ToolRefused(
            f"There is no event {one_line(name, LONGEST_SHOWN)!r} of the last {duration(LOOK_BACK)}; "
            "what_changed and list_events return existing ones."
        )
    return event


def create_event(client: EventsClient, event: CreateEvent) -> dict[str, Any]:
    scopes = Scopes(client)
    placed = event.with_scope(
        scopes.require_buckets(event.buckets), scopes.require_environments(event.environments)
    )
    return as_json(client.create_event(placed))


def get_event(client: EventsClient, wanted: OneEvent) -> dict[str, Any]:
    return as_json(client.get_event(wanted.sid))


def update_event(client: EventsClient, wanted: UpdateEvent) -> dict[str, Any]:
    """Metadata is merged, so that `marker_key`, by which the receiver finds its markers, is kept."""
    fields = {name: getattr(wanted, name) for name in wanted.model_fields_set - {"sid", "reopen"}}
    if wanted.reopen:
        fields["ended_at"] = None
    if wanted.metadata is not None:
        fields["metadata"] = merge_metadata(client.get_event(wanted.sid), wanted.metadata)
    if wanted.buckets is not None:
        fields["buckets"] = Scopes(client).require_buckets(wanted.buckets)
    if wanted.environments is not None:
        fields["environments"] = Scopes(client).require_environments(wanted.environments)
    return as_json(client.update_event(wanted.sid, EventUpdate.model_validate(fields)))


def close_incident(client: EventsClient, wanted: CloseIncident) -> dict[str, Any]:
    incident = client.get_event(wanted.sid)
    if incident.type != EventType.INCIDENT:
        raise ToolRefused(f"{wanted.sid} is not an incident but a {incident.type}; use update_event.")
    if incident.ended_at is not None:
        raise ToolRefused(
            f"{wanted.sid} was closed at {format_timestamp(incident.ended_at)}; "
            "use update_event to change that."
        )
    ended_at = wanted.ended_at or now()
    if incident.started_at is not None and ended_at < incident.started_at:
        started_at = format_timestamp(incident.started_at)
        raise ToolRefused(f"endedAt is before the start of the incident, {started_at}; correct it.")
    update = closing(incident, ended_at, wanted.resolution)
    return as_json(client.update_event(wanted.sid, update))


def delete_event(client: EventsClient, wanted: OneEvent) -> dict[str, Any]:
    """Returns the deleted event, so that it can be created again."""
    event = as_json(client.get_event(wanted.sid))
    client.delete_event(wanted.sid)
    return {"deleted": True, "event": event}


def recent_events(client: EventsClient) -> dict[str, Any]:
    """The resource of that name: events that started in the last 24 hours, at most a hundred."""
    return list_events(client, ListEvents(started_from=now() - RECENT, limit=100))


def as_json(event: StoredEvent) -> dict[str, Any]:
    """The event with the Events API's field names, without empty fields."""
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)


def _place(sids: Callable[[tuple[str, ...]], tuple[str, ...]], wanted: str | None) -> str | None:
    """The SID of a bucket or environment to filter by, or `None`."""
    return None if wanted is None else sids((wanted,))[0]


TOOLS: Final = (
    Tool(
        "what_changed",
        "What changed around a time",
        "Find what may explain a jump in an API's charts: deploys, incidents, configuration changes and "
        "scalings around a time or an event, nearest first, including incidents that were under way; of a "
        "deploy also the version before it and, if its marker has one, its verdict. Use this first when "
        "asked why latency, errors or traffic changed.",
        WhatChanged,
        what_changed,
        CHANGES,
        reads_only=True,
    ),
    Tool(
        "list_events",
        "List events",
        "List event markers, filtered by type, start, bucket and environment.",
        ListEvents,
        list_events,
        EVENTS,
        reads_only=True,
    ),
    Tool(
        "get_event",
        "Get an event",
        "Get one event marker with all its fields.",
        OneEvent,
        get_event,
        EVENT,
        reads_only=True,
    ),
    Tool(
        "create_event",
        "Create an event",
        "Put an event marker on the charts, where everybody in the account sees it. An incident stays open "
        "until close_incident. Deploys that a webhook or a CI plugin reports already have a marker: check "
        "with what_changed first.",
        CreateEvent,
        create_event,
        EVENT,
        is_additive=True,
    ),
    Tool(
        "update_event",
        "Update an event",
        "Change fields of an event marker. Fields that are left out stay as they are; metadata is merged.",
        UpdateEvent,
        update_event,
        EVENT,
        is_repeatable=True,
    ),
    Tool(
        "close_incident",
        "Close an incident",
        "End an incident, and say when and how it was resolved.",
        CloseIncident,
        close_incident,
        EVENT,
        is_additive=True,
    ),
    Tool(
        "delete_event",
        "Delete an event",
        "Delete an event marker for good. Only for markers made by mistake: close what is over instead.",
        OneEvent,
        delete_event,
        DELETED,
        is_repeatable=True,
    ),
)
DELETING: Final = frozenset({"delete_event"})
"""Tools that are offered only with `--allow-delete`."""
