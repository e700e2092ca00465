"""Injects faults into requests: delays, failures, answers that mislead, connections that end without one."""

import errno
import io
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from receiver.local.events_api.errors import ApiError
from receiver.local.events_api.faults import Fault, Faults, Kind

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

INJECTED_STATUS: Final = "apitraffic.injected_status"
"""The key of the environ whose value is the status that a fault has the application answer with."""
INJECTED_RETRY_AFTER: Final = "1"
"""Seconds; an injected 429 or 503 should not slow a chaos run down."""
LIST_CONDITIONS: Final = "apitraffic.list_conditions"
"""The key of the environ whose value says under which conditions lists are answered (`faults.CONDITIONS`)."""
DISLIKED: Final = b"DROP TABLE"
"""The words that the firewall of the fault `waf` refuses."""
HTML: Final = b"<!DOCTYPE html><title>Oops</title><p>Something is in the way.</p>"


def list_conditions(environ: "WSGIEnvironment") -> Mapping[Kind, float]:
    conditions: Mapping[Kind, float] = environ.get(LIST_CONDITIONS, {})
    return conditions


def raise_injected_failure(environ: "WSGIEnvironment") -> None:
    """Raise the ApiError that a fault has planned for this request, if any."""
    status: HTTPStatus | None = environ.get(INJECTED_STATUS)
    if status is None:
        return
    waits = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    headers = {"Retry-After": INJECTED_RETRY_AFTER} if waits else {}
    raise ApiError(status, f"{status.value} {status.phrase}, injected by a fault.", headers=headers)


class RequestCounts:
    """The number of requests by method and outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, method: str, outcome: str) -> None:
        with self._lock:
            by_outcome = self._counts.setdefault(method, {})
            by_outcome[outcome] = by_outcome.get(outcome, 0) + 1

    def by_method(self) -> dict[str, dict[str, int]]:
        """Return `{"POST": {"201": 3, "drop": 1}}`: the status, or the fault that took its place."""
        with self._lock:
            return {method: dict(by_outcome) for method, by_outcome in self._counts.items()}


class FaultInjector:
    """WSGI middleware that applies `faults` to requests below `prefix` and counts these requests."""

    def __init__(self, app: "WSGIApplication", faults: Faults, counts: RequestCounts, prefix: str) -> None:
        self._app = app
        self._faults = faults
        self._counts = counts
        self._prefix = prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(self._prefix):
            return self._app(environ, start_response)
        method = environ["REQUEST_METHOD"]
        effect = self._faults.effect_on(method)
        if effect.delay:
            time.sleep(effect.delay)
        environ[LIST_CONDITIONS] = effect.conditions
        if Kind.WAF in effect.conditions and DISLIKED in _body_of(environ):
            self._counts.add(method, Kind.WAF)
            return _page(start_response, HTTPStatus.FORBIDDEN)
        fault = effect.fault
        if fault is not None and fault.kind is Kind.STATUS:
            environ[INJECTED_STATUS] = HTTPStatus(int(fault.value))
            fault = None
        if fault is None:
            return self._app(environ, self._counting(method, start_response))
        self._counts.add(method, fault.kind)
        if fault.kind is Kind.LATE:
            self._handle_later(environ, fault.value)
            return _page(start_response, HTTPStatus.INTERNAL_SERVER_ERROR)
        if fault.kind is not Kind.REFUSE:
            self._handle_without_answering(environ)
        if fault.kind is Kind.COMMIT:
            return _page(start_response, HTTPStatus(int(fault.value)))
        return self._disconnect(environ, fault)

    def _counting(self, method: str, start_response: "StartResponse") -> "StartResponse":
        def counted(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            self._counts.add(method, status.split(maxsplit=1)[0])
            return start_response(status, headers, exc_info)

        return counted

    def _handle_later(self, environ: "WSGIEnvironment", seconds: float) -> None:
        _body_of(environ)
        later = threading.Timer(seconds, self._handle_without_answering, [environ.copy()])
        later.daemon = True
        later.start()

    def _handle_without_answering(self, environ: "WSGIEnvironment") -> None:
        def discard(
            _status: str, _headers: list[tuple[str, str]], _exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            return lambda _data: None

        answer = self._app(environ, discard)
        try:
            for _ in answer:
                pass
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _disconnect(self, environ: "WSGIEnvironment", fault: Fault) -> Iterable[bytes]:
        connection: socket.socket | None = environ.get("gunicorn.socket")
        if connection is not None:
            if fault.kind is Kind.HANG:
                _wait_until_client_leaves(connection, fault.value)
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                # ENOTCONN: the client has stopped waiting, which is what a hang is for.
                if error.errno != errno.ENOTCONN:
                    raise
        # gunicorn takes this exception as "the client has left": no answer, no traceback.
        raise ConnectionResetError(errno.ECONNRESET, f"connection ended by the fault {fault}")


def _body_of(environ: "WSGIEnvironment") -> bytes:
    """The whole body, which the application can read again afterwards, even if the connection has ended."""
    size = environ.get("CONTENT_LENGTH") or "0"
    body: bytes = environ["wsgi.input"].read(int(size))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _page(start_response: "StartResponse", status: HTTPStatus) -> Iterable[bytes]:
    """An answer that is not the application's own."""
    headers = [("Content-Type", "text/html"), ("Content-Length", str(len(HTML)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [HTML]


def _wait_until_client_leaves(connection: socket.socket, seconds: float) -> None:
    """Wait at most `seconds`, but no longer than the client does: there are only a few threads."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.select(timeout=seconds)
