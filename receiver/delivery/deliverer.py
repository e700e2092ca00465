"""Applying a change to the Events API: at most one event for each marker, whatever breaks on the way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from redis.exceptions import ResponseError
from structlog import get_logger

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, RateLimited, Rejected
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate
from apitraffic_events.timestamps import now
from receiver.delivery.budget import BudgetExhausted, RequestBudget
from receiver.delivery.delivery_pause import DeliveryPause
from receiver.delivery.doubt import Doubts
from receiver.delivery.edits import says_another_verdict
from receiver.delivery.episodes import with_report
from receiver.delivery.event_finder import EventFinder
from receiver.delivery.event_requests import EventRequests
from receiver.delivery.folding import difference, fold, is_called_off
from receiver.delivery.insights import Insights
from receiver.delivery.marker_lock import MarkerBusy, MarkerLock
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.markers import Marker
from receiver.delivery.notices import Notice, news_of
from receiver.delivery.retries import EventRefused, is_refusal, needs_operator, pause_after
from receiver.delivery.scopes import Scopes
from receiver.events import Change, is_urgent

OUR_MISTAKES: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ResponseError)
"""Errors in our own code or data. An insight that fails with one must not stop the delivery."""
SECOND_LOOK: Final = "insight"
"""The source of changes that only ask for a marker to be looked at again (`receiver.delivery.insights`)."""


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
    """The event had been created before the marker was called off."""
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
        insights: Insights | None = None,
        tell: Callable[[Notice], None] | None = None,
    ) -> None:
        """Without `insights`, markers say nothing beyond their own changes."""
        self._client = client
        self._markers = markers
        self._budget = budget
        self._clock = clock
        self._tell = tell
        self._doubts = Doubts(settle, clock)
        self._scopes = Scopes(client)
        self._requests = EventRequests(client, clock)
        self._finder = EventFinder(client, self._doubts, clock)
        self._pause = DeliveryPause(budget, clock, tell)
        self._insights = insights

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
                if change.delivery.source == SECOND_LOOK:
                    marker, outcome = self._look_again(change.key, lock)
                elif change.heard_at is None:
                    marker, outcome = self._deliver(change, lock)
                else:
                    marker, outcome = self._deliver_report(change, lock)
                if outcome not in MADE_WITHOUT_THE_API:
                    self._pause.go_on()
                if outcome is not Delivered.DELETED:
                    self._tell_news(lock.known.sent, marker)
                lock.save_and_release(marker)
        except BudgetExhausted:
            raise
        except RateLimited as error:
            self._budget.use_up(pause_after(error, attempts=0, waiting_for=timedelta()) or 0)
            raise
        except EventsApiError as error:
            if needs_operator(error):
                self._pause.pause(error)
            raise
        return outcome

    def _tell_news(self, before: Event | None, marker: Marker) -> None:
        if self._tell is not None:
            for notice in news_of(before, marker, self._budget.account, self._clock()):
                self._tell(notice)

    def _deliver_report(self, report: Change, lock: MarkerLock) -> tuple[Marker, Delivered]:
        """What is to be saved of an alert, and the result of the episode that this report is of.

        `lock` is the alert's; its episodes are markers of their own. If a report is delivered again, without
        news since, the episode may have ended unseen.
        """
        revision = with_report(report.key, lock.known.changes, report, is_in_doubt=lock.known.is_in_doubt)
        known = replace(lock.known.settled(), changes=revision.alert.reports)
        if revision.gone:
            # If a deletion fails, the next report may need the episode after all.
            lock.save(lock.known.in_doubt(None))
        for key in revision.gone:
            with self._markers.locked((key,)) as own_lock:
                marker, _ = self._finder.look_up(own_lock.known, own_lock)
                own_lock.save(self._withdraw(marker, own_lock)[0])
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
        is_found = False
        if known.sid is None:
            if known.is_in_doubt and known.insight is not None:
                # A second look meanwhile has found no event to write into.
                known = replace(known, insight=known.insight.to_be_noted_again())
            known, is_found = self._finder.look_up(known, lock, *(shown or (change,)))
        marker = known.with_only(shown) if shown else known.with_change(change)
        desired = fold(marker.changes)
        if desired is None and is_called_off(marker.changes):
            return self._withdraw(marker, lock)
        if desired is None:
            return marker, Delivered.AWAITING_OPENING
        desired = self._scopes.resolve(desired)
        marker = self._with_insight(marker, desired, lock)
        if change.is_indirect and marker.sid is not None and _update_to(marker, desired):
            marker, desired = self._with_direct_reports(marker, desired, lock)
        try:
            marker, shown_as = self._show(marker, desired, known, lock)
        except EventsApiError as error:
            if marker.sid is None and is_refusal(error):
                # It becomes a dead letter. If that is replayed, it is noted again.
                self._forget(marker, desired)
            raise
        return marker, Delivered.FOUND if is_found else shown_as

    def _show(
        self, marker: Marker, event: Event, known: Marker, lock: MarkerLock, *, reads: bool = False
    ) -> tuple[Marker, Delivered]:
        """Make the API show this event, with the marker's insight; `known` is as in `EventRequests`.

        If it `reads`, what somebody has written into the event since stays. It also stays if that is known to
        have happened before, and if a report changes what is said of the verdict.

        If the API refuses what is added to it, such as words of another marker, it is shown without.
        """
        if marker.sid is not None and marker.sent is None:
            # Its deletion had no answer, and could be carried out late.
            self._requests.delete(marker.sid)
            marker = replace(marker, sid=None)
        while True:
            shown = marker.annotated(event)
            try:
                if marker.sid is None:
                    return self._requests.create(marker, shown, known, lock), Delivered.CREATED
                update = _update_to(marker, event)
                if update is None:
                    return marker, Delivered.UNCHANGED
                self._doubts.require_settled(marker)
                ours = (marker.sent, *marker.unanswered)
                if reads or marker.is_edited or says_another_verdict(shown, *ours):
                    marker, update = self._finder.beside_edits(marker, shown, update)
                if update is None:
                    return replace(marker.settled(), sent=shown), Delivered.UNCHANGED
                updated, is_there = self._requests.update(marker, shown, update, known, lock)
                return updated, Delivered.UPDATED if is_there else Delivered.DELETED
            except (EventRefused, Rejected) as error:
                if marker.insight is None or shown == event:
                    raise
                get_logger("receiver.insight").warning(
                    "the API refuses what was added; leaving some of it out",
                    reason=str(error),
                    key=marker.key,
                )
                marker = marker.with_less_said(event)

    def _with_insight(self, marker: Marker, event: Event, lock: MarkerLock) -> Marker:
        """The same marker with its insight."""
        if self._insights is None:
            return marker
        try:
            return replace(marker, insight=self._insights.of(marker, event, lock.remembers_since))
        except OUR_MISTAKES:
            # What the sender says is shown, whatever is wrong with what we would add to it.
            get_logger("receiver.insight").exception("nothing is added", key=marker.key)
            return marker

    def _forget(self, marker: Marker, event: Event | None = None) -> None:
        """Have other markers no longer name this one; `event` is as in `Insights.forget`."""
        if self._insights is None:
            return
        try:
            self._insights.forget(marker, event)
        except OUR_MISTAKES:
            get_logger("receiver.insight").exception("others may still speak of it", key=marker.key)

    def _look_again(self, key: str, lock: MarkerLock) -> tuple[Marker, Delivered]:
        """Compute the insight of the marker of this key, and write it into its event."""
        marker = lock.known
        if self._insights is None:
            return marker, Delivered.UNCHANGED
        planned = self._insights.begin_look(key)
        event = fold(marker.changes)
        if event is None or marker.sent is None:
            self._insights.looked(key, planned, marker, None, lock.remembers_since)
            return marker, Delivered.UNCHANGED
        event = self._scopes.resolve(event)
        try:
            insight = self._insights.second_look(marker, event, lock.remembers_since)
        except OUR_MISTAKES:
            get_logger("receiver.insight").exception("nothing more is added", key=key)
            self._insights.looked(key, planned, marker, None, lock.remembers_since)
            return marker, Delivered.UNCHANGED
        marker, outcome = replace(marker, insight=insight), Delivered.UNCHANGED
        if insight is not None:
            # Before the update: what the API was asked for is not asked for again.
            lock.save(marker)
            try:
                # What people write into an event must not be lost, and a second look may take its time.
                marker, outcome = self._show(marker, event, marker, lock, reads=True)
            except (EventRefused, Rejected) as error:
                # It is no delivery, and a dead letter of it would help nobody.
                get_logger("receiver.insight").warning("the API refuses it", reason=str(error), key=key)
        self._insights.looked(key, planned, marker, event, lock.remembers_since)
        return marker, outcome

    def _withdraw(self, marker: Marker, lock: MarkerLock) -> tuple[Marker, Delivered]:
        """Show nothing of a marker that was called off: delete the event that it may have."""
        outcome = Delivered.CALLED_OFF
        if marker.sid is not None:
            lock.save(marker.being_deleted())
        self._forget(marker)
        if marker.sid is not None:
            outcome = Delivered.WITHDRAWN
            self._requests.delete(marker.sid)
        return replace(marker.settled(), sid=None, sent=None, insight=None), outcome

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
                marker, _ = self._finder.look_up(marker, lock)
            if other.sid is None and other.is_in_doubt:
                other, _ = self._finder.look_up(other, other_lock)
            self._doubts.require_settled(marker)
            self._doubts.require_settled(other)
            self._forget(other)
            merged = marker.with_change(*other.changes)
            if (insight := marker.insight or other.insight) is not None:
                merged = replace(merged, insight=insight.merged_with(other.insight))
            if marker.sid is None:
                in_doubt = marker.is_in_doubt or other.is_in_doubt
                merged = replace(merged, sid=other.sid, sent=other.sent, is_in_doubt=in_doubt)
            elif other.sid == marker.sid:
                # An earlier merge was saved but not finished; the other may have sent something since.
                merged = replace(merged, is_in_doubt=True)
                if merged.insight is not None and other.sent is not None:
                    merged = replace(merged, insight=merged.insight.with_unanswered(other.sent))
            elif other.sid is not None:
                self._requests.delete(other.sid)
            lock.save(merged)
            self._markers.forget(other_key, in_favour_of=marker.key)
        return merged

    def _with_direct_reports(self, marker: Marker, desired: Event, lock: MarkerLock) -> tuple[Marker, Event]:
        """The marker and its event, with what others have written into the event directly."""
        reported = self._finder.with_direct_reports(marker)
        if reported is None:
            return marker, desired
        desired = self._scopes.resolve(fold(reported.changes) or desired)
        return self._with_insight(reported, desired, lock), desired


def _update_to(marker: Marker, event: Event) -> EventUpdate | None:
    """What to update so that the API shows this event with the marker's insight; `None` for nothing."""
    return difference(None if marker.is_in_doubt else marker.sent, marker.annotated(event))
