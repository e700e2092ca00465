"""Applying a change to the Events API: at most one event for each marker, whatever breaks on the way."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Final

from redis.lock import Lock
from structlog import get_logger

from receiver.api_errors import (
    EventsApiError,
    NotFound,
    RateLimited,
    Unauthorised,
)
from receiver.api_records import EventUpdate
from receiver.client import EventsClient
from receiver.events import Change, DeliveryReference, Effect, Event
from receiver.folding import difference, fold
from receiver.lookup import find_event, is_marker, was_surely_not_done
from receiver.markers import Marker, MarkerBusy, MarkerStore
from receiver.pacing import Paced, Pacing
from receiver.queues import is_urgent
from receiver.retries import PAUSE_WHEN_REFUSED, pause_after
from receiver.scopes import Scopes

WHAT_TO_CHECK: Final = (
    "check APITRAFFIC_API_TOKEN, APITRAFFIC_ACCOUNT_SID and APITRAFFIC_API_URL; what is accepted is kept, "
    "and delivery goes on by itself"
)


class Delivered(Enum):
    """What a change came to."""

    CREATED = "created"
    UPDATED = "updated"
    FOUND = "found"
    """An earlier attempt, or another receiver, had created it."""
    UNCHANGED = "unchanged"
    AWAITING_OPENING = "waits for its opening"
    DELETED = "was deleted in ApiTraffic, left so"


class Deliverer:
    """Applies changes, one at a time."""

    def __init__(self, client: EventsClient, markers: MarkerStore, pacing: Pacing) -> None:
        self._client = client
        self._markers = markers
        self._pacing = pacing
        self._scopes = Scopes(client)
        self._has_paused = False

    def deliver(self, change: Change) -> Delivered:
        """Make the API show what is known of this change's marker.

        Raises `EventsApiError` or `MarkerBusy`; doing it again with the same change is right after
        either, and after a crash. A refusal of the token or the account pauses the line for all workers.
        """
        try:
            with self._pacing.delivering(is_urgent=is_urgent(change)):
                outcome = self._deliver(change)
        except Paced:
            raise
        except RateLimited as error:
            self._pacing.use_up(pause_after(error, tries=0, waiting_for=timedelta()) or 0)
            raise
        except (Unauthorised, NotFound) as error:
            self._pause(error)
            raise
        if self._has_paused:
            self._has_paused = False
            if self._pacing.resume():
                get_logger("receiver.delivery").info("delivery goes on: the API accepts us again")
        return outcome

    def _pause(self, error: EventsApiError) -> None:
        self._has_paused = True
        if self._pacing.pause(str(error), PAUSE_WHEN_REFUSED):
            get_logger("receiver.delivery").critical(
                "delivery is paused: the API refuses us", reason=str(error), advice=WHAT_TO_CHECK
            )

    def _deliver(self, change: Change) -> Delivered:
        key, *others = self._markers.resolve(change.names)
        with self._markers.locked(key) as lock:
            if self._markers.resolve(change.names)[0] != key:
                # While we waited for the lock it became part of another marker.
                raise MarkerBusy(key)
            known = self._markers.load(key)
            for other in others:
                known = self._merged(known, other)
            marker = known.with_change(change)
            outcome = None
            if marker.sid is None and _may_exist_already(marker, change):
                known, outcome = self._look_up(known, marker.changes)
                marker = known.with_change(change)
            desired = fold(marker.changes)
            if desired is None:
                self._markers.save(marker)
                return Delivered.AWAITING_OPENING
            desired = self._scopes.resolve(desired)
            if marker.sid is None:
                marker, outcome = self._create(marker, desired, lock, known), Delivered.CREATED
            elif update := difference(None if marker.is_in_doubt else marker.sent, desired):
                # Until its answer is here nobody knows what the API shows: the next attempt sends everything.
                self._markers.save(replace(known, sid=marker.sid, sent=marker.sent, is_in_doubt=True))
                marker, updated = self._update(marker, desired, update)
                marker = replace(marker, is_in_doubt=False)
                outcome = outcome or updated
            self._markers.save(marker)
            return outcome or Delivered.UNCHANGED

    def _merged(self, marker: Marker, other_key: str) -> Marker:
        """Two markers turn out to be one: take over what the other knows, and its event if we have none."""
        with self._markers.locked(other_key):
            other = self._markers.load(other_key)
            if marker.sid is None and marker.is_in_doubt:
                marker, _ = self._look_up(marker, marker.changes)
            if other.sid is None and other.is_in_doubt:
                other, _ = self._look_up(other, other.changes)
            merged = marker.with_change(*other.changes)
            if marker.sid is None:
                in_doubt = marker.is_in_doubt or other.is_in_doubt
                merged = replace(merged, sid=other.sid, sent=other.sent, is_in_doubt=in_doubt)
            elif other.sid is not None:
                with suppress(NotFound):
                    self._client.delete_event(other.sid)
            self._markers.save(merged)
            self._markers.forget(other_key, in_favour_of=marker.key)
        return merged

    def _look_up(self, marker: Marker, changes: Sequence[Change]) -> tuple[Marker, Delivered | None]:
        """Find the marker's event in the API by the key in its metadata.

        These changes say when it was, and under which names: any of them may have made the event.
        """
        names = {marker.key, *(name for change in changes for name in change.names)}
        moments = {change.occurred_at for change in changes}
        moments |= {change.event.started_at for change in changes if change.event.started_at}
        stored = find_event(self._client, moments, lambda event: is_marker(event, names))
        if stored is None:
            return marker, None
        event = stored.as_event()
        opening = Change(
            key=marker.key,
            effect=Effect.OPEN,
            occurred_at=event.started_at or min(moments),
            event=event,
            delivery=DeliveryReference(source="api", id=stored.sid, event="look-up"),
        )
        known = replace(marker.with_change(opening), sid=stored.sid, sent=event, is_in_doubt=False)
        return known, Delivered.FOUND

    def _create(self, marker: Marker, desired: Event, lock: Lock, known: Marker) -> Marker:
        """Create the event; `known` is what is kept where it is refused, without the refused change."""
        self._markers.save(replace(marker, is_in_doubt=True))
        lock.reacquire()
        try:
            created = self._client.create_event(desired)
        except EventsApiError as error:
            if was_surely_not_done(error):
                self._markers.save(replace(known, is_in_doubt=False))
            raise
        return replace(marker, sid=created.sid, sent=desired, is_in_doubt=False)

    def _update(self, marker: Marker, desired: Event, update: EventUpdate) -> tuple[Marker, Delivered]:
        if marker.sid is None:
            raise ValueError("only a marker with a SID can be updated")
        try:
            self._client.update_event(marker.sid, update)
        except NotFound:
            # The API has one code for an event and for an account it does not find; raises for the latter.
            self._client.list_events(limit=1)
            return replace(marker, sent=desired), Delivered.DELETED
        return replace(marker, sent=desired), Delivered.UPDATED


def _may_exist_already(marker: Marker, change: Change) -> bool:
    """After an attempt with no answer; where the first thing heard of a marker is not its beginning; and
    where the pipeline that made a deployment may have told the API itself.
    """
    is_first_heard = len(marker.changes) == 1
    is_beginning = change.effect in {Effect.OPEN, Effect.POINT}
    return marker.is_in_doubt or (is_first_heard and (bool(change.aliases) or not is_beginning))
