"""The pages of one event: shown, made, changed, closed, reopened, deleted."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, abort, redirect, render_template, request, url_for
from structlog import get_logger
from werkzeug.wrappers import Response as AnyResponse

from apitraffic_events import EventsApiError, EventUpdate, StoredEvent
from apitraffic_events.errors import NotFound
from apitraffic_events.event import EVERYWHERE
from apitraffic_events.timestamps import now
from receiver.console.forms import (
    Filled,
    Wrong,
    changed_event,
    closing_of,
    filled,
    new_event,
    of_event,
    refused,
)
from receiver.console.history import History
from receiver.console.known_events import KnownEvents, in_words
from receiver.console.markers import marker_of
from receiver.console.surroundings import EventSurroundings
from receiver.console.view import TYPES

Page = AnyResponse | str | tuple[str, int]
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True, slots=True)
class EventPages:
    """What is wrong with a form stands at its fields; other failures of the API become pages of their own."""

    known_events: KnownEvents
    history: History

    def blueprint(self) -> Blueprint:
        pages = Blueprint("event", __name__)
        both = ["GET", "POST"]
        pages.add_url_rule("/events/new", "create", self.create, methods=both)
        pages.add_url_rule("/events/<sid>", "show", self.show)
        pages.add_url_rule("/events/<sid>/edit", "edit", self.edit, methods=both)
        pages.add_url_rule("/events/<sid>/close", "close", self.close, methods=["POST"])
        pages.add_url_rule("/events/<sid>/reopen", "reopen", self.reopen, methods=["POST"])
        pages.add_url_rule("/events/<sid>/delete", "delete", self.delete, methods=["POST"])
        return pages

    def create(self) -> Page:
        if request.method == "GET":
            return self._form(Filled(type=request.args.get("type", "deployment")), None)
        try:
            event = self.known_events.create(new_event(request.form))
        except Wrong as wrong:
            return self._form(filled(request.form, wrong.errors), None), UNPROCESSABLE
        except EventsApiError as error:
            return self._form(filled(request.form, refused(error)), None), UNPROCESSABLE
        get_logger("receiver.console").info("event created", sid=event.sid)
        return redirect(url_for(".show", sid=event.sid, done="created"))

    def show(self, sid: str) -> Page:
        return self._shown(self._event(sid))

    def edit(self, sid: str) -> Page:
        event = self._event(sid)
        if request.method == "GET":
            return self._form(of_event(event), event)
        try:
            return self._changed(event, changed_event(request.form, event), "changed")
        except Wrong as wrong:
            return self._form(filled(request.form, wrong.errors), event), UNPROCESSABLE
        except EventsApiError as error:
            return self._form(filled(request.form, refused(error)), event), UNPROCESSABLE

    def close(self, sid: str) -> Page:
        event = self._event(sid)
        try:
            return self._changed(event, closing_of(request.form, event, now()), "closed")
        except Wrong as wrong:
            return self._shown(event, wrong.errors), UNPROCESSABLE
        except EventsApiError as error:
            return self._shown(event, {"resolution": in_words(error)}), HTTPStatus.BAD_GATEWAY

    def reopen(self, sid: str) -> Page:
        try:
            return self._changed(self._event(sid), EventUpdate(ended_at=None), "reopened")
        except EventsApiError as error:
            abort(HTTPStatus.BAD_GATEWAY, in_words(error))

    def delete(self, sid: str) -> Page:
        try:
            self.known_events.delete(sid)
        except NotFound:
            pass
        except EventsApiError as error:
            abort(HTTPStatus.BAD_GATEWAY, in_words(error))
        get_logger("receiver.console").info("event deleted", sid=sid)
        return redirect(url_for("events.index", done="deleted"))

    def _event(self, sid: str) -> StoredEvent:
        try:
            return self.known_events.get(sid)
        except NotFound:
            abort(HTTPStatus.NOT_FOUND, "There is no such event. Somebody may have deleted it.")
        except EventsApiError as error:
            abort(HTTPStatus.BAD_GATEWAY, in_words(error))

    def _changed(self, event: StoredEvent, update: EventUpdate, done: str) -> Page:
        """Raises `EventsApiError`."""
        if fields := update.model_fields_set:
            self.known_events.update(event.sid, update)
            get_logger("receiver.console").info(
                "event changed", sid=event.sid, fields=" ".join(sorted(fields))
            )
        return redirect(url_for(".show", sid=event.sid, done=done))

    def _shown(self, event: StoredEvent, errors: Mapping[str, str] | None = None) -> str:
        places = self.known_events.named_places()
        past = self.history.of(event)
        return render_template(
            "event.html",
            event=event,
            marker=marker_of(event, places.environments),
            places=places,
            history=past,
            around=EventSurroundings.of(event, past.insight, self.known_events.since(now())),
            everywhere=EVERYWHERE,
            resolution=request.form.get("resolution", ""),
            errors=errors or {},
        )

    def _form(self, values: Filled, event: StoredEvent | None) -> str:
        places = self.known_events.named_places()
        return render_template("event_form.html", form=values, event=event, types=TYPES, places=places)
