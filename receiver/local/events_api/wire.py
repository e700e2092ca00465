"""What happens to a request outside of HTTP: delays, and connections that end without an answer."""

import errno
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from receiver.local.events_api.faults import Fault, Faults, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ORDERED_STATUS: Final = "apitraffic.ordered_status"
"""Where the environ holds the status that a fault has ordered the application to answer with."""


class RequestCounts:
    """How many requests there were, by method and by what became of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, method: str, outcome: str) -> None:
        with self._lock:
            by_outcome = self._counts.setdefault(method, {})
            by_outcome[outcome] = by_outcome.get(outcome, 0) + 1

    def by_method(self) -> dict[str, dict[str, int]]:
        """Give `{"POST": {"201": 3, "drop": 1}}`: the status, or the fault that took its place."""
        with self._lock:
            return {method: dict(by_outcome) for method, by_outcome in self._counts.items()}


class UnreliableWire:
    """WSGI middleware that does what `faults` order to requests below `prefix`, and counts them."""

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
        time.sleep(effect.delay)
        spoiler = effect.spoiler
        if spoiler is None:
            return self._app(environ, self._counting(method, start_response))
        if spoiler.kind is Kind.STATUS:
            environ[ORDERED_STATUS] = HTTPStatus(int(spoiler.value))
            return self._app(environ, self._counting(method, start_response))
        self._counts.add(method, spoiler.kind)
        if spoiler.kind is not Kind.REFUSE:
            self._handle_without_answering(environ)
        return self._disconnect(environ, spoiler)

    def _counting(self, method: str, start_response: "StartResponse") -> "StartResponse":
        def counted(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> "Callable[[bytes], object]":
            self._counts.add(method, status.split(maxsplit=1)[0])
            return start_response(status, headers, exc_info)

        return counted

    def _handle_without_answering(self, environ: "WSGIEnvironment") -> None:
        def swallow(
            _status: str, _headers: list[tuple[str, str]], _exc_info: "OptExcInfo | None" = None, /
        ) -> "Callable[[bytes], object]":
            return lambda _data: None

        answer = self._app(environ, swallow)
        try:
            for _ in answer:
                pass
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _disconnect(self, environ: "WSGIEnvironment", spoiler: Fault) -> Iterable[bytes]:
        connection: socket.socket | None = environ.get("gunicorn.socket")
        if connection is not None:
            if spoiler.kind is Kind.HANG:
                _wait_until_client_leaves(connection, spoiler.value)
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                # ENOTCONN: the client was tired of waiting, which is what a hang is for.
                if error.errno != errno.ENOTCONN:
                    raise
        # The one exception gunicorn takes as "the client is gone": no answer, no traceback.
        raise ConnectionResetError(errno.ECONNRESET, f"connection ended by the fault {spoiler}")


def _wait_until_client_leaves(connection: socket.socket, seconds: float) -> None:
    """Hold the thread no longer than the client waits: there are only a few of them."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.select(timeout=seconds)
