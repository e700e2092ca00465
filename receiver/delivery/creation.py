"""Making an event directly, without the receiver: once, whatever is lost on the way (docs/ci-plugins.md).

Workers create events with `receiver.delivery.deliverer` instead, which remembers them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import JsonValue

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError
from apitraffic_events.event import EVERYWHERE, Event, EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import EventPage, EventUpdate, StoredEvent
from apitraffic_events.timestamps import now
from apitraffic_events.updates import merge_metadata
from receiver.config.ci.job import ANY_KEY
from receiver.delivery.lookup import (
    LOOK_BACK,
    MOST_FOR_PROOF,
    Search,
    around,
    events_of,
    is_marker,
    was_surely_not_done,
)
from receiver.insight.direct import (
    PREVIOUS_FACTS,
    is_of_a_history,
    previous_among,
    with_previous,
    without_previous,
)
from receiver.insight.history import Previous

MARKER_KEY: Final = "marker_key"
JOINED_BY: Final = "joined_by"
"""The key by which a plugin knows an event that has another `marker_key`."""
ENVIRONMENT: Final = "environment"
IN_PROGRESS: Final = "in_progress"
LONGEST_READ: Final = 3.0
"""Seconds for reading the deploys before one: it must not wait for what its marker says of others."""
SHARE_OF_READ: Final = 0.25
"""How much of the time for all requests that may take."""


class Made(StrEnum):
    """The result of an attempt."""

    CREATED = "created"
    UPDATED = "updated"
    """The event existed: a webhook, or an earlier run, had created it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event that is to exist once. Its metadata has its `marker_key`.

    `may_exist` says that others know that key and may have created the event; `identity` then names the
    metadata by which a deployment of theirs is recognised too, if its whole key matches `their_key`. If
    neighbours have the same identity (`is_identity_shared`), only one deployment may fit that no other event
    was joined with and that had not ended before. `keeps_start` says that the start of an existing event is
    to be kept, as more exact; `keeps_name` that a person chose the event's name.
    """

    event: Event
    may_exist: bool = False
    identity: tuple[str, ...] = ()
    their_key: re.Pattern[str] = ANY_KEY
    is_identity_shared: bool = False
    keeps_start: bool = False
    keeps_name: bool = False

    def with_scope(self, buckets: tuple[str, ...], environments: tuple[str, ...]) -> Self:
        """The same with SIDs for the names of buckets and environments."""
        return replace(self, event=self.event.with_scope(buckets, environments))

    @property
    def key(self) -> str:
        return str(self.event.metadata.get(MARKER_KEY))

    def has_key(self, stored: StoredEvent) -> bool:
        return is_marker(stored, {self.key})

    def found_in(self, listed: Iterable[StoredEvent]) -> StoredEvent | None:
        """The event among those that the API lists, if it exists."""
        fitting = []
        for stored in listed:
            if self.has_key(stored) or stored.metadata.get(JOINED_BY) == self.key:
                return stored
            if self._fits(stored):
                fitting.append(stored)
        return fitting[0] if len(fitting) == 1 or (fitting and not self.is_identity_shared) else None

    def _fits(self, stored: StoredEvent) -> bool:
        own, theirs = self.event.metadata, stored.metadata
        if not self.identity or not stored.type == self.event.type == EventType.DEPLOYMENT:
            return False
        if not self.their_key.fullmatch(str(theirs.get(MARKER_KEY))) or not _same_host(theirs, own):
            return False
        if self.is_identity_shared and (JOINED_BY in theirs or _had_ended(stored, self.event.started_at)):
            return False
        return all(name in own and _same(theirs, own, name) for name in self.identity)


class Creation:
    """Attempts to create one event; `attempt` may be called again after it failed."""

    def __init__(self, client: EventsClient, wanted: Wanted, earlier: EventPage | None = None) -> None:
        """`earlier` are deploys as the API lists them, among which is what ran before this one."""
        self.previous: Previous | None = None
        """What the event says that ran before."""
        self._client = client
        self._wanted = wanted
        self._earlier = earlier
        self._is_in_doubt = False
        started_at = wanted.event.started_at or now()
        self._around = EventFilter(started_from=started_at - LOOK_BACK, started_to=started_at + LOOK_BACK)
        self._exactly = around(started_at)

    def attempt(self) -> tuple[StoredEvent, Made]:
        """Create the event, or update it if it exists already; raises `EventsApiError`."""
        found = None
        if self._wanted.may_exist or self._is_in_doubt:
            found = self._find()
            if found is not None and self._is_in_doubt and self._wanted.has_key(found):
                return found, Made.CREATED
        if self._earlier is not None:
            self.previous = previous_among(self._wanted.event, self._earlier, found)
        if found is not None:
            return self._brought_up_to_date(found), Made.UPDATED
        event = with_previous(self._wanted.event, self.previous, keeps_name=self._wanted.keeps_name)
        try:
            return self._client.create_event(event), Made.CREATED
        except EventsApiError as error:
            self._is_in_doubt = self._is_in_doubt or not was_surely_not_done(error)
            raise

    def _find(self) -> StoredEvent | None:
        """What this attempt lost started exactly then. What others made may have another start."""
        when = self._around if self._wanted.may_exist else self._exactly
        return self._wanted.found_in(events_of(self._client, Search(when, MOST_FOR_PROOF)))

    def _brought_up_to_date(self, found: StoredEvent) -> StoredEvent:
        update = _update(found, self._wanted, self.previous)
        return self._client.update_event(found.sid, update) if update.model_fields_set else found


def _update(found: StoredEvent, wanted: Wanted, previous: Previous | None) -> EventUpdate:
    """The fields of the wanted event that differ in the one that was found. Its key stays: others know it."""
    event = wanted.event
    replaced: Mapping[str, JsonValue] = {}
    if previous is not None:
        description = event.description or without_previous(found)
        event = event.model_copy(update={"description": description})
        event = with_previous(event, previous, keeps_name=wanted.keeps_name)
        replaced = dict.fromkeys(PREVIOUS_FACTS, "")
    key = found.metadata.get(MARKER_KEY, event.metadata.get(MARKER_KEY))
    joined = {JOINED_BY: wanted.key} if key != wanted.key else {}
    known = {
        "name": event.name,
        "description": event.description,
        "metadata": merge_metadata(found, {**replaced, **event.metadata, MARKER_KEY: key, **joined}),
        "buckets": event.buckets if event.buckets != EVERYWHERE else None,
        "environments": event.environments if event.environments != EVERYWHERE else None,
        "started_at": None if wanted.keeps_start else event.started_at,
        "ended_at": event.ended_at,
    }
    changed = {
        name: value for name, value in known.items() if value is not None and value != getattr(found, name)
    }
    return EventUpdate.model_validate(changed)


def _same(theirs: Mapping[str, JsonValue], ours: Mapping[str, JsonValue], name: str) -> bool:
    """An environment's name is the same in upper and lower case."""
    if name not in theirs:
        return False
    one, other = str(theirs[name]), str(ours[name])
    return one.lower() == other.lower() if name == ENVIRONMENT else one == other


def _same_host(theirs: Mapping[str, JsonValue], ours: Mapping[str, JsonValue]) -> bool:
    """Whether the runs are on one host, as far as both are known: ids count up on each."""
    hosts = {urlsplit(str(facts["run_url"])).netloc.lower() for facts in (theirs, ours) if "run_url" in facts}
    return len(hosts) < len((theirs, ours))


def _had_ended(stored: StoredEvent, moment: datetime | None) -> bool:
    """Whether it had ended at that moment. A point has no end: it is drawn when the deployment has ended."""
    is_point = stored.metadata.get("status", IN_PROGRESS) != IN_PROGRESS
    ended_at = stored.ended_at or (stored.started_at if is_point else None)
    return ended_at is not None and moment is not None and ended_at <= moment


def earlier_deploys(client: EventsClient, event: Event, seconds: float) -> EventPage | None:
    """One page of deploys, the latest first if the API lists them so; `None` if there is none to be had.

    Takes no longer than a part of the `seconds` for all requests. Never raises.
    """
    if not is_of_a_history(event):
        return None
    client.wait_at_most(min(LONGEST_READ, seconds * SHARE_OF_READ))
    wanted = EventFilter(EventType.DEPLOYMENT.value, started_to=event.ended_at or event.started_at)
    try:
        return client.list_page(wanted)
    except EventsApiError:
        return None
