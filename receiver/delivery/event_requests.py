"""Creating and updating events, with what is saved of the marker before a request and after its answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, NotFound, Rejected, ServerFailed, Unauthorised
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate
from receiver.delivery.doubt import Request
from receiver.delivery.lookup import was_surely_not_done
from receiver.delivery.marker_lock import MarkerLock
from receiver.delivery.markers import Marker
from receiver.delivery.retries import EventRefused
from receiver.insight.annotation import Insight

NO_SUCH_EVENT: Final = "evt_none"
"""An event that does not exist. Asked to update it, the API says so, or that the token may not."""
INVALID: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


class EventRequests:
    """Requests about single events. Each raises `EventsApiError`, and what saving a marker raises."""

    def __init__(self, client: EventsClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._can_change_types = True

    def create(self, marker: Marker, desired: Event, known: Marker, lock: MarkerLock) -> Marker:
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

    def update(
        self, marker: Marker, desired: Event, update: EventUpdate, known: Marker, lock: MarkerLock
    ) -> tuple[Marker, bool]:
        """Update the event; also returns whether it is still there. `known` is as in `create`."""
        if marker.sid is None:
            raise ValueError("only a marker with a SID can be updated")
        # Until the answer has arrived, it is not known what the API shows: the next attempt sends everything.
        before = replace(known, sid=marker.sid, sent=marker.sent)
        if marker.insight is not None or any(change.is_indirect for change in marker.changes):
            # And it must know our words from somebody's edit, and from a direct report.
            insight = (known.insight or Insight()).with_unanswered(desired)
            before = replace(before, insight=insight.model_copy(update={"is_edited": marker.is_edited}))
        request = Request(before, lock, self._clock)
        is_there = True
        try:
            self._send_update(marker.sid, update, request)
        except NotFound:
            self.require_account()
            is_there = False
        except EventsApiError as error:
            if was_surely_not_done(error):
                lock.save(before.in_doubt(None))
            elif isinstance(error, ServerFailed):
                lock.save(before.in_doubt(self._clock()))
            self._raise_if_only_the_event_is_refused(error)
            raise
        return replace(marker.settled(), sent=desired), is_there

    def delete(self, sid: str) -> None:
        """Delete the event, unless that has been done."""
        try:
            self._client.delete_event(sid)
        except NotFound:
            self.require_account()

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

    def require_account(self) -> None:
        """Raises if it is the account that is unknown: the API has one code for that and an unknown event."""
        self._client.list_events(limit=1)
