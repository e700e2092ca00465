"""Applying a change to the Events API: at most one event for each marker, whatever breaks on the way."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue
from structlog import get_logger

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
)
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.timestamps import now
from receiver.delivery.budget import BudgetExhausted, RequestBudget
from receiver.delivery.doubt import Doubts, Request, Unsettled
from receiver.delivery.episodes import with_report
from receiver.delivery.folding import difference, fold, is_called_off
from receiver.delivery.lookup import (
    anywhere,
    events_of,
    find_event,
    is_marker,
    is_plugins_own,
    searches_for,
    was_surely_not_done,
)
from receiver.delivery.marker_store import MarkerBusy, MarkerLock, MarkerStore
from receiver.delivery.markers import Marker
from receiver.delivery.notices import Notice, failed_deploy, paused_line, resumed_line
from receiver.delivery.outcomes import LISTED
from receiver.delivery.retries import (
    PAUSE_WHEN_REFUSED,
    EventRefused,
    needs_operator,
    pause_after,
    what_to_check,
)
from receiver.delivery.scopes import Scopes
from receiver.events import Change, DeliveryReference, Effect, is_urgent

__all__ = ["Delivered", "Deliverer", "Unsettled"]

NO_SUCH_EVENT: Final = "evt_none"
"""An event that does not exist. Asked to update it, the API says so, or that the token may not."""
INVALID: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


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


MADE_WITHOUT_THE_API: Final = frozenset(
    {Delivered.UNCHANGED, Delivered.AWAITING_OPENING, Delivered.CALLED_OFF}
)
"""Results that may need no request, and so do not show that the API accepts us."""


class Deliverer:
    """Applies changes, one at a time; `settle` is as in `receiver.delivery.doubt`.

    `tell` queues a notice to people, once however often it is called (`receiver.delivery.notifier`).
    """

    def __init__(
        self,
        client: EventsClient,
        markers: MarkerStore,
        budget: RequestBudget,
        *,
        settle: timedelta,
        clock: Callable[[], datetime] = now,
        tell: Callable[[Notice], None] | None = None,
    ) -> None:
        self._client = client
        self._markers = markers
        self._budget = budget
        self._clock = clock
        self._tell = tell
        self._doubts = Doubts(settle, clock)
        self._scopes = Scopes(client)
        self._can_change_types = True

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
                if change.heard_at is None:
                    marker, outcome = self._deliver(change, lock)
                else:
                    marker, outcome = self._deliver_report(change, lock)
                if outcome not in MADE_WITHOUT_THE_API:
                    self._go_on()
                if outcome is not Delivered.DELETED:
                    self._tell_of_failure(lock.known.sent, marker)
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
        if self._budget.pause(str(error), PAUSE_WHEN_REFUSED):
            get_logger("receiver.delivery").critical(
                "delivery is paused: the API refuses us",
                reason=str(error),
                advice=what_to_check(self._budget.account),
                **self._of_account,
            )
        # At each refusal: the worker that paused may have died before it told of it.
        if self._tell is not None and (since := self._budget.paused_since()) is not None:
            self._tell(paused_line(self._budget.account, since, str(error)))

    @property
    def _of_account(self) -> dict[str, str]:
        return {} if self._budget.account is None else {"account": self._budget.account}

    def _go_on(self) -> None:
        if self._tell is not None and self._budget.has_paused:
            since = self._budget.paused_since()
            if since is not None:
                self._tell(resumed_line(self._budget.account, since, self._clock()))
        if self._budget.resume_own():
            get_logger("receiver.delivery").info(
                "delivery goes on: the API accepts us again", **self._of_account
            )

    def _tell_of_failure(self, before: Event | None, marker: Marker) -> None:
        if self._tell is not None:
            notice = failed_deploy(before, marker, self._budget.account, self._clock())
            if notice is not None:
                self._tell(notice)

    def _deliver_report(self, report: Change, lock: MarkerLock) -> tuple[Marker, Delivered]:
        """What is to be saved of an alert, and the result of the episode that this report is of.

        `lock` is the alert's; its episodes are markers of their own. If a report is delivered again, without
        news since, the episode may have ended unseen.
        """
        revision = with_report(report.key, lock.known.changes, report)
        known = replace(lock.known, changes=revision.alert.reports)
        for key in revision.gone:
            with self._markers.locked((key,)) as own_lock:
                marker, _ = self._look_up(own_lock.known, own_lock)
                own_lock.save(self._withdraw(marker)[0])
        # Before an event can be created: the next report must find the key that it has.
        lock.save(known)
        outcome = Delivered.UNCHANGED
        for episode in revision.changed:
            shown = episode.changes(self._clock())
            with self._markers.locked((episode.key,)) as own_lock:
                marker, outcome = self._deliver(shown[-1], own_lock, shown)
                own_lock.save(marker)
        check_at = revision.alert.checked_at
        is_due = check_at is not None and check_at <= self._clock()
        self._markers.check_again(report.key, None if is_due else check_at)
        return known, outcome

    def _deliver(
        self, change: Change, lock: MarkerLock, shown: tuple[Change, ...] = ()
    ) -> tuple[Marker, Delivered]:
        """The marker as it is to be saved, and the result.

        `shown`, if given, is all that the marker is to show, `change` among it.
        """
        known = lock.known
        for other in lock.others:
            known = self._merged(known, other, lock)
        outcome = None
        if known.sid is None:
            known, outcome = self._look_up(known, lock, *(shown or (change,)))
        marker = known.with_only(shown) if shown else known.with_change(change)
        desired = fold(marker.changes)
        if desired is None and is_called_off(marker.changes):
            return self._withdraw(marker)
        if desired is None:
            return marker, Delivered.AWAITING_OPENING
        desired = self._scopes.resolve(desired)
        if marker.sid is None:
            return self._create(marker, desired, known, lock), Delivered.CREATED
        update = difference(None if marker.is_in_doubt else marker.sent, desired)
        if update and change.is_indirect:
            marker, desired = self._with_direct_reports(marker, desired)
            update = difference(None if marker.is_in_doubt else marker.sent, desired)
        if update:
            self._doubts.require_settled(marker)
            marker, updated = self._update(marker, desired, update, known, lock)
            outcome = outcome or updated
        return marker, outcome or Delivered.UNCHANGED

    def _withdraw(self, marker: Marker) -> tuple[Marker, Delivered]:
        """Show nothing of a marker that was called off: delete the event that it may have."""
        outcome = Delivered.CALLED_OFF
        if marker.sid is not None:
            outcome = Delivered.WITHDRAWN
            try:
                self._client.delete_event(marker.sid)
            except NotFound:
                self._require_account()
        return replace(marker.settled(), sid=None, sent=None), outcome

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
                marker, _ = self._look_up(marker, lock)
            if other.sid is None and other.is_in_doubt:
                other, _ = self._look_up(other, other_lock)
            self._doubts.require_settled(marker)
            self._doubts.require_settled(other)
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

    def _look_up(self, known: Marker, lock: MarkerLock, *added: Change) -> tuple[Marker, Delivered | None]:
        """Find the event of a marker without a SID, if the API may have one.

        The changes say when it was, and under which names: any of them may have created the event. So may
        another sender that knows it by one of the granted claims, and a plugin that knows only its run. If it
        is not found, the marker is not in doubt afterwards; raises `Unsettled` if that cannot be said yet.
        """
        marker = known.with_change(*added)
        searches = searches_for(marker, known, lock.remembers_since)
        if not searches:
            return known, None
        self._doubts.require_news(known)
        asked_at = self._clock()
        if self._doubts.is_last_look(known, asked_at):
            searches += (anywhere(),)
        claims = lock.claims if lock.known.key == known.key else ()
        names = {marker.key, *claims, *(name for change in marker.changes for name in change.names)}
        runs = claims if any(change.is_authoritative for change in marker.changes) else ()
        stored = find_event(
            events_of(self._client, *searches),
            lambda event: is_marker(event, names),
            lambda event: is_plugins_own(event, runs),
        )
        if stored is not None:
            listed = _listed(stored, marker.key, marker.changes)
            if not _is_indirect_report(listed.event, marker.changes):
                known = known.with_change(listed)
            return replace(known.settled(), sid=stored.sid, sent=listed.event), Delivered.FOUND
        if known.unanswered_since is not None:
            lock.save(replace(known, looked_at=asked_at))
            self._doubts.require_absent(known, asked_at)
        return known.settled(), None

    def _create(self, marker: Marker, desired: Event, known: Marker, lock: MarkerLock) -> Marker:
        """Create the event. If that is refused, `known` is saved: the marker without the refused change."""
        request = Request(marker, lock, self._clock)
        try:
            created = self._client.create_event(desired, before_sending=request.before_sending)
        except EventsApiError as error:
            if was_surely_not_done(error):
                lock.save(known.settled())
            elif isinstance(error, ServerFailed):
                lock.save(marker.in_doubt(self._clock()))
            self._raise_if_only_the_event_is_refused(error)
            raise
        return replace(marker.settled(), sid=created.sid, sent=desired)

    def _update(
        self, marker: Marker, desired: Event, update: EventUpdate, known: Marker, lock: MarkerLock
    ) -> tuple[Marker, Delivered]:
        """Update the event; `known` is as in `_create`."""
        if marker.sid is None:
            raise ValueError("only a marker with a SID can be updated")
        # Until the answer has arrived, it is not known what the API shows: the next attempt sends everything.
        before = replace(known, sid=marker.sid, sent=marker.sent)
        request = Request(before, lock, self._clock)
        outcome = Delivered.UPDATED
        try:
            self._send_update(marker.sid, update, request)
        except NotFound:
            self._require_account()
            outcome = Delivered.DELETED
        except EventsApiError as error:
            if was_surely_not_done(error):
                lock.save(before.in_doubt(None))
            elif isinstance(error, ServerFailed):
                lock.save(before.in_doubt(self._clock()))
            self._raise_if_only_the_event_is_refused(error)
            raise
        return replace(marker.settled(), sent=desired), outcome

    def _send_update(self, sid: str, update: EventUpdate, request: Request) -> None:
        """Send the update, without the type if the API does not let that be changed: it is not documented."""
        is_about_type = "type" in update.model_fields_set
        if self._can_change_types or not is_about_type:
            try:
                self._client.update_event(sid, update, before_sending=request.before_sending)
                return
            except Rejected as error:
                if not is_about_type or error.status not in INVALID:
                    raise
        without_type = EventUpdate.model_validate(update.model_dump(exclude={"type"}, exclude_unset=True))
        if without_type.model_fields_set:
            self._client.update_event(sid, without_type, before_sending=request.before_sending)
        self._can_change_types = False

    def _raise_if_only_the_event_is_refused(self, error: EventsApiError) -> None:
        """Raises `EventRefused` for a 403 that says nothing of the token or the account.

        Raises another `EventsApiError` if the API does not say which it is: the next attempt asks again.
        """
        if error.status == HTTPStatus.FORBIDDEN and self._is_accepted():
            raise EventRefused(
                f"{error} (the API accepts the token, so it is something in this event)",
                code=error.code,
                status=error.status,
            ) from error

    def _is_accepted(self) -> bool:
        """Whether the token may list and change events, asked without words that anybody could dislike.

        Raises `EventsApiError` if the API does not say.
        """
        try:
            self._client.list_events(limit=1)
        except (Unauthorised, Rejected):
            return False
        try:
            self._client.update_event(NO_SUCH_EVENT, EventUpdate(name="apitraffic-events"))
        except Rejected:
            return True
        except Unauthorised:
            return False
        return True

    def _require_account(self) -> None:
        """Raises if it is the account that is unknown: the API has one code for that and an unknown event."""
        self._client.list_events(limit=1)

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
