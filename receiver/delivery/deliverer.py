"""Applying a change to the Events API: at most one event for each marker, whatever breaks on the way."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum

from pydantic import JsonValue
from structlog import get_logger

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, NotFound, RateLimited
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.timestamps import now
from receiver.delivery.budget import BudgetExhausted, RequestBudget
from receiver.delivery.folding import LISTED, difference, fold, is_called_off
from receiver.delivery.lookup import find_event, is_marker, is_over, is_plugins_own, was_surely_not_done
from receiver.delivery.marker_store import MarkerBusy, MarkerLock, MarkerStore
from receiver.delivery.markers import Marker
from receiver.delivery.retries import PAUSE_WHEN_REFUSED, WHAT_TO_CHECK, needs_operator, pause_after
from receiver.delivery.scopes import Scopes
from receiver.events import Change, DeliveryReference, Effect, is_urgent


class Delivered(Enum):
    """The result of delivering a change."""

    CREATED = "created"
    UPDATED = "updated"
    FOUND = "found"
    """An earlier attempt, or another receiver, had created the event."""
    UNCHANGED = "unchanged"
    AWAITING_OPENING = "waits for its opening"
    CALLED_OFF = "was called off before it began, not shown"
    WITHDRAWN = "was called off before it began, deleted"
    """The event had been created before that was known."""
    DELETED = "was deleted in ApiTraffic, left so"


class Unsettled(Exception):
    """A request about this marker got no answer, and the API may still carry it out; `wait` is in seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        super().__init__(f"a request without an answer may still be carried out within {wait:.0f} s")


class Deliverer:
    """Applies changes, one at a time.

    `settle` is how long after its start a request without an answer may still be carried out. Until then, a
    look-up that finds nothing proves nothing.
    """

    def __init__(
        self,
        client: EventsClient,
        markers: MarkerStore,
        budget: RequestBudget,
        *,
        settle: timedelta,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._client = client
        self._markers = markers
        self._budget = budget
        self._settle = settle
        self._clock = clock
        self._scopes = Scopes(client)
        self._has_paused = False

    def deliver(self, change: Change) -> Delivered:
        """Make the API show what is known of this change's marker.

        Raises `EventsApiError`, `MarkerBusy` or `Unsettled`; after each of them, and after a crash, it is
        safe to deliver the same change again. If the API refuses the token or the account, all workers pause.
        """
        try:
            with (
                self._budget.delivering(is_urgent=is_urgent(change)),
                self._markers.locked(change.names, change.claimed_names) as lock,
            ):
                marker, outcome = self._deliver(change, lock)
                self._go_on()
                lock.save_and_release(marker)
        except BudgetExhausted:
            raise
        except RateLimited as error:
            self._budget.use_up(pause_after(error, attempts=0, waiting_for=timedelta()) or 0)
            raise
        except EventsApiError as error:
            if needs_operator(error):
                self._pause(error)
            raise
        return outcome

    def _pause(self, error: EventsApiError) -> None:
        self._has_paused = True
        if self._budget.pause(str(error), PAUSE_WHEN_REFUSED):
            get_logger("receiver.delivery").critical(
                "delivery is paused: the API refuses us", reason=str(error), advice=WHAT_TO_CHECK
            )

    def _go_on(self) -> None:
        if self._has_paused:
            self._has_paused = False
            if self._budget.resume():
                get_logger("receiver.delivery").info("delivery goes on: the API accepts us again")

    def _deliver(self, change: Change, lock: MarkerLock) -> tuple[Marker, Delivered]:
        """The marker as it is to be saved, and the result."""
        known = lock.known
        for other in lock.others:
            known = self._merged(known, other, lock)
        marker = known.with_change(change)
        outcome = None
        if marker.sid is None and _may_exist_already(marker, change):
            known, outcome = self._look_up(known, marker.changes, lock.claims)
            marker = known.with_change(change)
        desired = fold(marker.changes)
        if desired is None and is_called_off(marker.changes):
            return self._withdraw(marker)
        if desired is None:
            return marker, Delivered.AWAITING_OPENING
        desired = self._scopes.resolve(desired)
        if marker.sid is None:
            self._require_settled(marker)
            return self._create(marker, desired, known, lock), Delivered.CREATED
        update = difference(None if marker.is_in_doubt else marker.sent, desired)
        if update and change.is_indirect:
            marker, desired = self._with_direct_reports(marker, desired)
            update = difference(None if marker.is_in_doubt else marker.sent, desired)
        if update:
            self._require_settled(marker)
            marker, updated = self._update(marker, desired, update, known, lock)
            outcome = outcome or updated
        return marker, outcome or Delivered.UNCHANGED

    def _withdraw(self, marker: Marker) -> tuple[Marker, Delivered]:
        """Show nothing of a marker that was called off: delete the event that it may have."""
        outcome = Delivered.CALLED_OFF
        if marker.sid is None:
            self._require_settled(marker)
        else:
            outcome = Delivered.WITHDRAWN
            try:
                self._client.delete_event(marker.sid)
            except NotFound:
                self._require_account()
        return replace(marker, sid=None, sent=None, is_in_doubt=False, unanswered_since=None), outcome

    def _merged(self, marker: Marker, other_key: str, lock: MarkerLock) -> Marker:
        """Two markers turn out to be one: take over what is known of the other, and its event if we have
        none.
        """
        with self._markers.locked((other_key,), resolved=True) as other_lock:
            if self._markers.resolve((other_key,)) != (other_key,):
                # Another worker has merged it into a third one meanwhile. The next attempt finds that one.
                raise MarkerBusy(other_key)
            other = other_lock.known
            if marker.sid is None and marker.is_in_doubt:
                marker, _ = self._look_up(marker, marker.changes)
            if other.sid is None and other.is_in_doubt:
                other, _ = self._look_up(other, other.changes)
            self._require_settled(marker)
            self._require_settled(other)
            merged = marker.with_change(*other.changes)
            if marker.sid is None:
                in_doubt = marker.is_in_doubt or other.is_in_doubt
                merged = replace(merged, sid=other.sid, sent=other.sent, is_in_doubt=in_doubt)
            elif other.sid == marker.sid:
                # An earlier merge was saved but not finished; the other may have sent something since.
                merged = replace(merged, is_in_doubt=True)
            elif other.sid is not None:
                with suppress(NotFound):
                    self._client.delete_event(other.sid)
            lock.save(merged)
            self._markers.forget(other_key, in_favour_of=marker.key)
        return merged

    def _look_up(
        self, marker: Marker, changes: Sequence[Change], claims: Sequence[str] = ()
    ) -> tuple[Marker, Delivered | None]:
        """Find the marker's event in the API by the key in its metadata.

        The changes say when it was, and under which names: any of them may have created the event. So may
        another sender that knows it by one of the granted `claims`, and a plugin that knows only its run.
        """
        names = {marker.key, *claims, *(name for change in changes for name in change.names)}
        moments = {change.occurred_at for change in changes}
        moments |= {change.event.started_at for change in changes if change.event.started_at}
        moments |= {change.occurred_at - change.lasted for change in changes if change.lasted}
        runs = claims if any(change.is_authoritative for change in changes) else ()
        stored = find_event(
            self._client,
            moments,
            lambda event: is_marker(event, names),
            lambda event: is_plugins_own(event, runs),
        )
        if stored is None:
            return marker, None
        listed = _listed(stored, marker.key, changes)
        known = marker if _is_indirect_report(listed.event, changes) else marker.with_change(listed)
        known = replace(known, sid=stored.sid, sent=listed.event)
        return replace(known, is_in_doubt=False, unanswered_since=None), Delivered.FOUND

    def _with_direct_reports(self, marker: Marker, desired: Event) -> tuple[Marker, Event]:
        """The same with what others have written into the event directly: a plugin, or a person.

        The receiver is not told of that, and an indirect report must not overwrite it.
        """
        if marker.sid is None or marker.sent is None:
            return marker, desired
        try:
            stored = self._client.get_event(marker.sid)
        except NotFound:
            return marker, desired
        listed = _listed(stored, marker.key, marker.changes)
        if _summary(listed.event) == _summary(marker.sent) or _is_indirect_report(
            listed.event, marker.changes
        ):
            return marker, desired
        marker = replace(marker.with_change(listed), sent=listed.event)
        return marker, self._scopes.resolve(fold(marker.changes) or desired)

    def _create(self, marker: Marker, desired: Event, known: Marker, lock: MarkerLock) -> Marker:
        """Create the event. If that is refused, `known` is saved: the marker without the refused change."""
        lock.save(replace(marker, is_in_doubt=True, unanswered_since=self._clock()))
        try:
            created = self._client.create_event(desired)
        except EventsApiError as error:
            if was_surely_not_done(error):
                lock.save(replace(known, is_in_doubt=False, unanswered_since=None))
            elif is_over(error):
                lock.save(replace(marker, is_in_doubt=True, unanswered_since=None))
            raise
        return replace(marker, sid=created.sid, sent=desired, is_in_doubt=False, unanswered_since=None)

    def _require_settled(self, marker: Marker) -> None:
        """Raises `Unsettled` while a request that got no answer may still be carried out.

        A second create would make a second event, and an update that arrives late would undo a newer one.
        """
        if marker.unanswered_since is None:
            return
        wait = marker.unanswered_since + self._settle - self._clock()
        if wait > timedelta(0):
            raise Unsettled(wait.total_seconds())

    def _update(
        self, marker: Marker, desired: Event, update: EventUpdate, known: Marker, lock: MarkerLock
    ) -> tuple[Marker, Delivered]:
        """Update the event; `known` is as in `_create`."""
        if marker.sid is None:
            raise ValueError("only a marker with a SID can be updated")
        # Until the answer has arrived, it is not known what the API shows: the next attempt sends everything.
        in_doubt = replace(known, sid=marker.sid, sent=marker.sent, is_in_doubt=True)
        lock.save(replace(in_doubt, unanswered_since=self._clock()))
        outcome = Delivered.UPDATED
        try:
            self._client.update_event(marker.sid, update)
        except NotFound:
            self._require_account()
            outcome = Delivered.DELETED
        except EventsApiError as error:
            if was_surely_not_done(error) or is_over(error):
                lock.save(replace(in_doubt, unanswered_since=None))
            raise
        return replace(marker, sent=desired, is_in_doubt=False, unanswered_since=None), outcome

    def _require_account(self) -> None:
        """Raises if it is the account that is unknown: the API has one code for that and an unknown event."""
        self._client.list_events(limit=1)


def _listed(stored: StoredEvent, key: str, changes: Sequence[Change]) -> Change:
    """What the API shows of a marker, as a change."""
    event = stored.as_event()
    return Change(
        key=key,
        effect=Effect.CLOSE if event.ended_at else Effect.OPEN,
        occurred_at=event.ended_at or event.started_at or min(change.occurred_at for change in changes),
        event=event,
        is_authoritative=any(
            change.is_authoritative and is_marker(stored, {change.key, *change.former_keys})
            for change in changes
        ),
        delivery=DeliveryReference(source=LISTED, id=stored.sid, event="look-up"),
    )


def _is_indirect_report(event: Event, changes: Sequence[Change]) -> bool:
    """Whether the event shows what one of these changes says indirectly, and so nothing else is known."""
    return any(change.is_indirect and _summary(change.event) == _summary(event) for change in changes)


def _summary(event: Event) -> tuple[str, JsonValue]:
    return event.name, event.metadata.get("status")


def _may_exist_already(marker: Marker, change: Change) -> bool:
    """Whether the API may have the event: after an attempt whose result is not known, if the first change of
    a marker is not its beginning, and if the pipeline that made a deployment may have created its event
    directly.
    """
    is_first_heard = len(marker.changes) == 1
    is_beginning = change.effect in {Effect.OPEN, Effect.POINT}
    others_know_it = bool(change.aliases or (change.claims and change.is_authoritative)) or change.is_indirect
    return marker.is_in_doubt or (is_first_heard and (others_know_it or not is_beginning))
