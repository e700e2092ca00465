"""create_app(): the local Events API as a Flask application."""

import hmac
import json
import random
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import flask

from receiver.local.events_api.control import control_blueprint
from receiver.local.events_api.errors import ApiError, handle_errors
from receiver.local.events_api.faults import Faults
from receiver.local.events_api.openapi import describe
from receiver.local.events_api.options import Options
from receiver.local.events_api.quota import Quota
from receiver.local.events_api.routes import PREFIX, Account
from receiver.local.events_api.store import Store
from receiver.local.events_api.wire import ORDERED_STATUS, RequestCounts, UnreliableWire

LARGEST_BODY: Final = 1024 * 1024
OPEN_TO_ALL: Final = ("/healthz", "/v1/openapi.json")
ORDERED_RETRY_AFTER: Final = "1"
"""Seconds; an ordered 429 or 503 should cost a chaos run no more than it must."""


def create_app(
    options: Options,
    clock: Callable[[], float] = time.time,
    draw_lot: Callable[[], float] = random.random,
) -> flask.Flask:
    """Make an application with its own data, quota and faults.

    `clock` gives Unix seconds for the quota, `draw_lot` the numbers that decide which requests a fault with a
    share happens to. `app.extensions["close"]()` closes the data file. Raises sqlite3.Error where the data
    file cannot be used.
    """
    app = flask.Flask(__name__, static_folder=None)
    # Paths and methods are taken as they are sent: a redirect or an automatic answer is not in the contract.
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY

    store = Store(options.data)
    faults = Faults(options.faults, draw_lot)
    counts = RequestCounts()
    app.extensions["close"] = store.close

    _guard(app, options, Quota(options.quota, options.window, clock))
    handle_errors(app)
    app.register_blueprint(Account(store, options).blueprint())
    if options.fault_control:
        app.register_blueprint(control_blueprint(faults, counts))
    description = json.dumps(describe(options))

    @app.get("/healthz")
    def healthz() -> flask.Response:
        return flask.Response('{"status": "ok"}', mimetype="application/json")

    @app.get("/v1/openapi.json")
    def openapi() -> flask.Response:
        return flask.Response(description, mimetype="application/json")

    app.wsgi_app = UnreliableWire(app.wsgi_app, faults, counts, PREFIX)  # type: ignore[method-assign]
    return app


def _guard(app: flask.Flask, options: Options, quota: Quota) -> None:
    """Ask every request for the token, take it from the quota and report the quota on every answer."""
    token = options.token.encode()

    @app.before_request
    def admit() -> None:
        flask.g.allowance = quota.look()
        if flask.request.path in OPEN_TO_ALL:
            return
        _require_token(flask.request.headers.get("Authorization", ""), token)
        if not flask.request.path.startswith(PREFIX):
            return
        flask.g.allowance = allowance = quota.take()
        if not allowance.granted:
            wait = quota.seconds_left(allowance)
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The quota of {allowance.limit} requests per {options.window:g} s is used up;"
                f" it begins anew in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        # After the quota: a request that fails on the vendor's side has been counted there too.
        ordered: HTTPStatus | None = flask.request.environ.get(ORDERED_STATUS)
        if ordered is not None:
            raise _ordered_failure(ordered)

    @app.after_request
    def report_quota(response: flask.Response) -> flask.Response:
        response.headers.update(flask.g.allowance.headers())
        return response


def _require_token(authorization: str, token: bytes) -> None:
    scheme, _, credentials = authorization.partition(" ")
    given = credentials.strip().encode(errors="surrogateescape")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, token):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "The token is missing or wrong; send it as `Authorization: Bearer <token>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _ordered_failure(status: HTTPStatus) -> ApiError:
    waits = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    headers = {"Retry-After": ORDERED_RETRY_AFTER} if waits else {}
    return ApiError(status, f"{status.value} {status.phrase}, as ordered by a fault.", headers=headers)
