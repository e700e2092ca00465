"""Finds a marker's event in the API, and reads what others have written into it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import JsonValue

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import NotFound
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from receiver.delivery.doubt import Doubts
from receiver.delivery.edits import beside_edits, is_edited
from receiver.delivery.folding import fold
from receiver.delivery.lookup import (
    anywhere,
    events_of,
    find_event,
    is_marker,
    is_plugins_own,
    searches_for,
)
from receiver.delivery.marker_lock import MarkerLock
from receiver.delivery.markers import Marker
from receiver.delivery.outcomes import LISTED
from receiver.events import Change, DeliveryReference, Effect
from receiver.insight.annotation import Insight, without_insight


class EventFinder:
    """Asks the API about single markers. Raises `EventsApiError`, and what saving a marker raises."""

    def __init__(self, client: EventsClient, doubts: Doubts, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._doubts = doubts
        self._clock = clock

    def look_up(self, known: Marker, lock: MarkerLock, *added: Change) -> tuple[Marker, bool]:
        """Find the event of a marker without a SID, if the API may have one; also returns whether it has.

        The changes say when it was, and under which names: any of them may have created the event. So may
        another sender that knows it by one of the granted claims, and a plugin that knows only its run. If it
        is not found, the marker is not in doubt afterwards; raises `Unsettled` if that cannot be said yet.
        """
        marker = known.with_change(*added)
        searches = searches_for(marker, known, lock.remembers_since)
        if not searches:
            return known, False
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
            shown = stored.as_event()
            event, verdict = without_insight(shown)
            if not (_is_as_sent(shown, known) or _is_indirect_report(event, marker.changes)):
                known = known.with_change(_listed(stored, event, marker.key, marker.changes))
            if verdict is not None and known.insight is None:
                known = replace(known, insight=Insight(verdict=verdict))
            return replace(known.settled(), sid=stored.sid, sent=shown), True
        if known.unanswered_since is not None:
            lock.save(replace(known, looked_at=asked_at))
            self._doubts.require_absent(known, asked_at)
        return known.settled(), False

    def with_direct_reports(self, marker: Marker) -> Marker | None:
        """The same with what others have written into the event directly: a plugin, or a person.

        The receiver is not told of that, and an indirect report must not overwrite it. `None` if the event
        shows nothing of the kind.
        """
        if marker.sid is None or marker.sent is None:
            return None
        try:
            stored = self._client.get_event(marker.sid)
        except NotFound:
            return None
        shown = stored.as_event()
        event, _ = without_insight(shown)
        # The last answer may have been lost, so that the event shows already what is to be sent.
        ours = (marker.sent, *marker.unanswered, marker.annotated(fold(marker.changes) or marker.sent))
        if _summary(shown) in map(_summary, ours) or _is_indirect_report(event, marker.changes):
            return None
        listed = _listed(stored, event, marker.key, marker.changes)
        # What was sent last shows which words are somebody's edit.
        return replace(marker.with_change(listed), sent=marker.sent if marker.is_edited else shown)

    def beside_edits(
        self, marker: Marker, shown: Event, update: EventUpdate
    ) -> tuple[Marker, EventUpdate | None]:
        """What is left of the update that makes the API show this event; one request.

        The marker knows afterwards if somebody has edited the event.
        """
        sent = marker.sent
        if marker.sid is None or sent is None:
            return marker, update
        if marker.is_in_doubt and not (marker.unanswered or marker.is_edited):
            # Version 0.1 did not save what it had sent without an answer, which would look like an edit.
            return marker, update
        try:
            stored = self._client.get_event(marker.sid)
        except NotFound:
            return marker, update  # The update is answered the same, which says that it was deleted.
        if marker.insight is not None and is_edited(stored, sent, *marker.unanswered, shown):
            marker = replace(marker, insight=marker.insight.model_copy(update={"is_edited": True}))
        return marker, beside_edits(update, (sent, *marker.unanswered), shown, stored)


def _listed(stored: StoredEvent, event: Event, key: str, changes: Sequence[Change]) -> Change:
    """What the API shows of a marker, without its insight, as a change."""
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


def _is_as_sent(shown: Event, known: Marker) -> bool:
    """Whether the event is what an attempt without an answer has made of these changes, and says no more.

    Such as a start that stands in for one that nobody has named yet. Names of places were sent as SIDs.
    """
    sent = fold(known.changes)
    if sent is None:
        return False
    places = {"buckets": sent.buckets, "environments": sent.environments}
    return shown.model_copy(update=places).to_api() == known.annotated(sent).to_api()


def _is_indirect_report(event: Event, changes: Sequence[Change]) -> bool:
    """Whether the event shows what one of these changes says indirectly, and so nothing else is known."""
    return any(change.is_indirect and _summary(change.event) == _summary(event) for change in changes)


def _summary(event: Event) -> tuple[str, JsonValue]:
    return event.name, event.metadata.get("status")
