"""The calls below `/v1/accounts/{accountSid}`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from werkzeug.routing import Rule, Submount
from werkzeug.wrappers import Request, Response

from receiver.local.events_api import catalogue
from receiver.local.events_api.errors import ApiError
from receiver.local.events_api.fault_injection import list_conditions
from receiver.local.events_api.faults import Kind
from receiver.local.events_api.options import Options
from receiver.local.events_api.store import Record, Store
from receiver.local.events_api.timestamps import before, now
from receiver.local.events_api.traffic import Traffic, Wanted, read_wanted
from receiver.local.events_api.validation import (
    OTHER_PARAMETERS,
    PARAMETERS,
    Parameters,
    read_changes,
    read_filter,
    read_new_event,
    read_page,
    require_order,
)

PREFIX: Final = "/v1/accounts/"
METRICS_SCOPE: Final = "metrics:read"

View = Callable[..., Response]


class Account:
    """The resources of the only account that exists. Views take the request and what its path names."""

    def __init__(self, store: Store, traffic: Traffic, options: Options) -> None:
        self._store = store
        self._traffic = traffic
        self._options = options

    def rules(self) -> Submount:
        """The URL rules of the account; the endpoint of each is the view to call."""
        changing = self._options.update_methods

        def rule(method: str, path: str, view: View) -> Rule:
            return Rule(path, methods=[method], endpoint=partial(self._check_account, view))

        return Submount(
            f"{PREFIX}<account_sid>",
            [
                rule("GET", "/events", self.list_events),
                rule("POST", "/events", self.create_event),
                rule("GET", "/events/<sid>", self.get_event),
                *(rule(method, "/events/<sid>", self.update_event) for method in changing),
                rule("DELETE", "/events/<sid>", self.delete_event),
                rule("GET", "/buckets", self.list_buckets),
                rule("GET", "/environments", self.list_environments),
                rule("GET", "/metrics/throughput", self.throughput),
                rule("GET", "/metrics/summary", self.summary),
            ],
        )

    def list_events(self, request: Request) -> Response:
        conditions = list_conditions(request.environ)
        wanted = read_filter(request.args, _parameters(conditions))
        if Kind.LAG in conditions:
            wanted = replace(wanted, created_until=before(conditions[Kind.LAG]))
        records, has_more = self._store.find(wanted, read_page(request.args))
        return self._list(records, has_more=has_more)

    def create_event(self, request: Request) -> Response:
        record = self._store.create(self._options.account_sid, read_new_event(request.get_data()))
        return self._success(record, HTTPStatus.CREATED)

    def get_event(self, _request: Request, sid: str) -> Response:
        record = self._store.get(sid)
        if record is None:
            raise _no_event(sid)
        return self._success(record)

    def update_event(self, request: Request, sid: str) -> Response:
        changes = read_changes(request.get_data())

        def change(current: Record) -> Record:
            changed = {**current, **changes}
            require_order(changed)
            return changed

        record = self._store.update(sid, change)
        if record is None:
            raise _no_event(sid)
        return self._success(record)

    def delete_event(self, _request: Request, sid: str) -> Response:
        if not self._store.delete(sid):
            raise _no_event(sid)
        return self._success(json.dumps({"sid": sid, "deleted": True}))

    def list_buckets(self, request: Request) -> Response:
        return self._list_page(request, catalogue.buckets(self._options.account_sid))

    def list_environments(self, request: Request) -> Response:
        return self._list_page(request, catalogue.environments(self._options.account_sid))

    def throughput(self, request: Request) -> Response:
        return self._list(self._traffic.throughput(_traffic_wanted(request)), has_more=False)

    def summary(self, request: Request) -> Response:
        return self._success(self._traffic.summary(_traffic_wanted(request)))

    def _list_page(self, request: Request, records: Sequence[object]) -> Response:
        page = read_page(request.args)
        end = page.skipped + page.limit
        texts = [json.dumps(record) for record in records[page.skipped : end]]
        return self._list(texts, has_more=end < len(records))

    def _list(self, records: Sequence[str], *, has_more: bool) -> Response:
        return self._success(f'{{"hasMore": {json.dumps(has_more)}, "records": [{", ".join(records)}]}}')

    def _success(self, data: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        """Answer with `data`, which is JSON already: the store keeps records as the API writes them."""
        body = data
        if self._options.envelope:
            body = f'{{"success": true, "data": {data}, "meta": {{"timestamp": "{now()}"}}}}'
        return Response(body, status, mimetype="application/json")

    def _check_account(self, view: View, request: Request, account_sid: str, **arguments: Any) -> Response:
        if account_sid != self._options.account_sid:
            raise ApiError(HTTPStatus.NOT_FOUND, f"There is no account {account_sid} for this token.")
        return view(request, **arguments)


def _parameters(conditions: Mapping[Kind, float]) -> Parameters | None:
    if Kind.UNFILTERED in conditions:
        return None
    return OTHER_PARAMETERS if Kind.RENAMED in conditions else PARAMETERS


def _traffic_wanted(request: Request) -> Wanted:
    conditions = list_conditions(request.environ)
    if Kind.METRICS in conditions:
        status = HTTPStatus(int(conditions[Kind.METRICS]))
        why = (
            f"The token needs the scope {METRICS_SCOPE}." if status is HTTPStatus.FORBIDDEN else status.phrase
        )
        raise ApiError(status, why)
    return read_wanted({} if Kind.UNFILTERED in conditions else request.args)


def _no_event(sid: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"There is no event {sid} in this account.")
