"""create_app(): the local Events API as a WSGI application."""

import hmac
import json
import logging
import random
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from receiver.local.events_api.control import control_rules
from receiver.local.events_api.errors import ApiError, error_response, http_error_response
from receiver.local.events_api.fault_injection import (
    FaultInjector,
    RequestCounts,
    raise_injected_failure,
)
from receiver.local.events_api.faults import Faults
from receiver.local.events_api.openapi import describe
from receiver.local.events_api.options import Options
from receiver.local.events_api.quota import Allowance, Quota
from receiver.local.events_api.routes import PREFIX, Account
from receiver.local.events_api.store import Store
from receiver.local.events_api.traffic import Traffic

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LARGEST_BODY: Final = 1024 * 1024
NEEDS_NO_TOKEN: Final = ("/healthz", "/v1/openapi.json")


def create_app(
    options: Options,
    clock: Callable[[], float] = time.time,
    draw: Callable[[], float] = random.random,
) -> "EventsApi":
    """Create an application with its own data, quota and faults.

    `clock` returns Unix seconds, for the quota. `draw` returns a number from 0 up to 1 for each request that
    a fault with a share may affect. Raises sqlite3.Error if the data file cannot be used.
    """
    return EventsApi(options, clock, draw)


class ApiRequest(Request):
    """A request whose body may have at most `LARGEST_BODY` bytes; a larger one is answered with 413."""

    max_content_length = LARGEST_BODY


class EventsApi:
    """The WSGI application. Call `close` after the last request."""

    def __init__(self, options: Options, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._token = options.token.encode()
        self._window = options.window
        self._quota = Quota(options.quota, options.window, clock)
        self._store = Store(options.data)
        self._description = json.dumps(describe(options))
        faults = Faults(options.faults, draw)
        counts = RequestCounts()
        traffic = Traffic()
        self._with_faults = FaultInjector(self._serve, faults, counts, PREFIX)
        # The endpoint of a rule is the view itself. Paths are matched as they were sent: no redirects.
        self._urls = Map(
            [
                Rule("/healthz", endpoint=self._health, methods=["GET"]),
                Rule("/v1/openapi.json", endpoint=self._openapi, methods=["GET"]),
                Account(self._store, traffic, options).rules(),
                *(control_rules(faults, counts, traffic) if options.fault_control else ()),
            ],
            merge_slashes=False,
        )

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._with_faults(environ, start_response)

    def close(self) -> None:
        """Close the data file."""
        self._store.close()

    def _serve(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = ApiRequest(environ)
        allowance = self._quota.current()
        try:
            if request.path not in NEEDS_NO_TOKEN:
                self._require_token(request)
            if request.path.startswith(PREFIX):
                allowance = self._quota.take()
                self._require_quota(allowance)
                # After the quota: the vendor counts requests that fail on its side, too.
                raise_injected_failure(environ)
            view, arguments = self._urls.bind_to_environ(environ).match()
            response: Response = view(request, **arguments)
        except ApiError as error:
            response = error_response(error.status, error.message, error.details, error.headers)
        except HTTPException as error:
            response = http_error_response(error)
        except Exception:
            logging.getLogger(__name__).exception("The local Events API failed on %s", request.url)
            response = error_response(
                HTTPStatus.INTERNAL_SERVER_ERROR, "The local Events API has a bug. Its log has the traceback."
            )
        response.headers.update(allowance.headers())
        return response(environ, start_response)

    def _require_token(self, request: Request) -> None:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        given = credentials.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token):
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "The token is missing or wrong; send it as `Authorization: Bearer <token>`.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _require_quota(self, allowance: Allowance) -> None:
        if not allowance.granted:
            wait = self._quota.seconds_left(allowance)
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"The quota of {allowance.limit} requests per {self._window:g} s is used up;"
                f" the next window begins in {wait} s.",
                headers={"Retry-After": str(wait)},
            )

    def _health(self, _request: Request) -> Response:
        return Response('{"status": "ok"}', mimetype="application/json")

    def _openapi(self, _request: Request) -> Response:
        return Response(self._description, mimetype="application/json")
