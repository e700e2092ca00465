"""The Deliveries page: did the webhook arrive, and what became of it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, abort, render_template, request

from receiver.console.known_events import KnownEvents
from receiver.console.recent_deliveries import STATUSES, EntryFilter, RecentDeliveries
from receiver.console.samples import Samples, Sent
from receiver.console.wording import readable
from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.queue.delivery_log import Entry

ROWS: Final = 100
"""Of one page of the list."""


@dataclass(frozen=True, slots=True)
class DeliveryPages:
    recent: RecentDeliveries
    known_events: KnownEvents
    samples: Samples

    def blueprint(self) -> Blueprint:
        pages = Blueprint("deliveries", __name__)
        pages.add_url_rule("/deliveries", "page", self.page)
        pages.add_url_rule("/deliveries/rows", "rows", self.rows)
        pages.add_url_rule("/deliveries/<entry_id>", "show", self.show)
        pages.add_url_rule("/deliveries/<entry_id>/again", "send_again", self.send_again, methods=["POST"])
        return pages

    def page(self) -> str:
        return render_template("deliveries.html", **self._shown())

    def rows(self) -> str:
        return render_template("_deliveries.html", **self._shown())

    def show(self, entry_id: str) -> str:
        return self._shown_whole(entry_id, None)

    def send_again(self, entry_id: str) -> str:
        """Post its payload to the receiver, under a new id."""
        entry = self._entry(entry_id)
        payload = self._payload(entry)
        if payload is None:
            abort(HTTPStatus.NOT_FOUND, "Its payload is not kept any more.")
        return self._shown_whole(entry_id, self.samples.send_again(payload))

    def _shown_whole(self, entry_id: str, sent: Sent | None) -> str:
        entry = self._entry(entry_id)
        payload = self._payload(entry)
        return render_template(
            "delivery.html",
            entry=entry,
            events=self._events_of(entry),
            payload=payload,
            body=readable(payload.body) if payload else "",
            sent=sent,
        )

    def _entry(self, entry_id: str) -> Entry:
        try:
            found = next((one for one in self.recent.newest_first() if one.id == entry_id), None)
        except StorageUnavailable as error:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if found is None:
            abort(HTTPStatus.NOT_FOUND, "It is not among the latest deliveries any more.")
        return found

    def _payload(self, entry: Entry) -> Delivery | None:
        try:
            return self.recent.payload_of(entry)
        except StorageUnavailable as error:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _shown(self) -> dict[str, Any]:
        wanted = EntryFilter.of(lambda name: request.args.get(name, ""))
        problem = None
        found: list[Entry] = []
        try:
            found = [entry for entry in self.recent.newest_first() if wanted.includes(entry)]
        except StorageUnavailable as error:
            problem = f"{str(error).rstrip('.')}."
        first = max(0, request.args.get("skip", 0, type=int))
        query = {"source": wanted.source, "status": wanted.status, "q": wanted.text}
        return {
            "problem": problem,
            "wanted": wanted,
            "query": {name: value for name, value in query.items() if value},
            "rows": found[first : first + ROWS],
            "count": len(found),
            "first": first,
            "next": first + ROWS if len(found) > first + ROWS else None,
            "statuses": STATUSES,
            "sources": list(self.samples.settings.active_sources),
        }

    def _events_of(self, entry: Entry) -> dict[str, str]:
        """Marker key -> SID of its event, for those that are known here."""
        keys = {key for key, _ in entry.markers}
        known = self.known_events.since(entry.at)
        return {
            str(marker.event.metadata["marker_key"]): marker.sid
            for marker in known.markers
            if marker.event.metadata.get("marker_key") in keys
        }
