"""The calls below `/v1/accounts/{accountSid}`."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, g, request

from receiver.local.events_api import catalogue
from receiver.local.events_api.errors import ApiError
from receiver.local.events_api.options import Options
from receiver.local.events_api.store import Record, Store
from receiver.local.events_api.timestamps import now
from receiver.local.events_api.validation import (
    read_changes,
    read_filter,
    read_new_event,
    read_page,
    require_order,
)

PREFIX: Final = "/v1/accounts/"


class Account:
    """The resources of the one account there is."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("account", __name__, url_prefix=f"{PREFIX}<account_sid>")
        blueprint.url_value_preprocessor(_set_account_aside)
        blueprint.before_request(self._require_account)

        def route(method: str, path: str, view: Callable[..., Response]) -> None:
            blueprint.add_url_rule(path, f"{method} {view.__name__}", view, methods=[method])

        route("GET", "/events", self.list_events)
        route("POST", "/events", self.create_event)
        route("GET", "/events/<sid>", self.get_event)
        for method in self._options.update_methods:
            route(method, "/events/<sid>", self.update_event)
        route("DELETE", "/events/<sid>", self.delete_event)
        route("GET", "/buckets", self.list_buckets)
        route("GET", "/environments", self.list_environments)
        return blueprint

    def list_events(self) -> Response:
        records, has_more = self._store.find(read_filter(request.args), read_page(request.args))
        return self._answer({"hasMore": has_more, "records": records})

    def create_event(self) -> Response:
        record = self._store.create(self._options.account_sid, read_new_event(request.get_data()))
        return self._answer(record, HTTPStatus.CREATED)

    def get_event(self, sid: str) -> Response:
        record = self._store.get(sid)
        if record is None:
            raise _no_event(sid)
        return self._answer(record)

    def update_event(self, sid: str) -> Response:
        changes = read_changes(request.get_data())

        def change(current: Record) -> Record:
            changed = {**current, **changes}
            require_order(changed)
            return changed

        record = self._store.update(sid, change)
        if record is None:
            raise _no_event(sid)
        return self._answer(record)

    def delete_event(self, sid: str) -> Response:
        if not self._store.delete(sid):
            raise _no_event(sid)
        return self._answer({"sid": sid, "deleted": True})

    def list_buckets(self) -> Response:
        return self._answer_page(catalogue.buckets(self._options.account_sid))

    def list_environments(self) -> Response:
        return self._answer_page(catalogue.environments(self._options.account_sid))

    def _answer_page(self, records: list[dict[str, object]]) -> Response:
        page = read_page(request.args)
        end = page.skipped + page.limit
        return self._answer({"hasMore": end < len(records), "records": records[page.skipped : end]})

    def _answer(self, data: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
        body = (
            {"success": True, "data": data, "meta": {"timestamp": now()}} if self._options.envelope else data
        )
        return Response(json.dumps(body), status, mimetype="application/json")

    def _require_account(self) -> None:
        if g.account_sid != self._options.account_sid:
            raise ApiError(HTTPStatus.NOT_FOUND, f"There is no account {g.account_sid} for this token.")


def _set_account_aside(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Take the account out of what views are called with; it is checked once the token has been."""
    if values is not None:
        g.account_sid = values.pop("account_sid")


def _no_event(sid: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"There is no event {sid} in this account.")
