"""gunicorn's threaded worker, made to withstand slow, idle and too many clients without a proxy in front.

gunicorn gives each connection to a thread, which waits for the client: 5 s for its first byte, and without
limit for the rest. Its event loop, which serves all connections, waits 2 s for a connection to close. Here
the loop buffers requests, and a thread gets a request once it is complete. The time, the bytes and the number
of requests that are buffered are bounded.
"""

import json
import socket
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]  # has no types
    STOP_KEEPALIVE_LINGER,
    TConn,
)

from receiver.serving.connection import REQUEST_TIMEOUT, Connection
from receiver.serving.signals import SignalSafeWorker

MOST_WAITING: Final = 256
"""Complete requests that wait for a thread; at some 700 a second the last one waits well under a second."""
MOST_BUFFERED: Final = 64 * 1024 * 1024
"""Bytes of incomplete requests, on all connections of a process together: two of the largest allowed."""
RECEIVED_AT_ONCE: Final = 256 * 1024
TIME_TO_CLOSE: Final = 2.0
MOST_CLOSING: Final = 1_000


def _answer(status: HTTPStatus, detail: str) -> bytes:
    body = json.dumps({"title": status.phrase, "status": status.value, "detail": detail}).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nRetry-After: 30\r\n"
    kind = f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + kind).encode() + body


TOO_MANY: Final = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests at once; send it again.")
TOO_LATE: Final = _answer(HTTPStatus.REQUEST_TIMEOUT, "The request was not there in time.")


class BufferingWorker(SignalSafeWorker):
    """Everything here but `handle` runs on the process' one event loop."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._with_threads = 0
        self._bytes_buffered = 0
        self._buffering: set[Connection] = set()
        self._lingering: dict[Connection, float] = {}
        self._stopping_at = time.monotonic()

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        self.nr_conns += 1
        self._buffer(Connection(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """The next request on a keep-alive connection begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.deadline = time.monotonic() + REQUEST_TIMEOUT
        self._buffer(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Gunicorn calls this if the beginning of the next request arrived with the last one."""
        conn.deadline = time.monotonic() + REQUEST_TIMEOUT
        conn.buffered += conn.parser.unreader.take_buffered()
        self._bytes_buffered += len(conn.buffered)
        self._buffer(conn)

    def murder_pending(self) -> None:
        """Gunicorn calls this about once a second; connections that are late are closed."""
        super().murder_pending()
        now = time.monotonic()
        if not self.alive:
            # The time that gunicorn gives keep-alive connections for a request that may be under way.
            for connection in self._buffering:
                if not connection.buffered:
                    connection.deadline = min(connection.deadline, self._stopping_at + STOP_KEEPALIVE_LINGER)
        else:
            self._stopping_at = now
        for connection in [each for each in self._buffering if each.deadline <= now]:
            self._stop_buffering(connection)
            if connection.buffered:
                self._refuse(connection, TOO_LATE, "too_slow")
            else:
                self._drop(connection)
        for connection in [each for each, until in self._lingering.items() if until <= now]:
            self._stop_lingering(connection)

    def handle(self, conn: Connection) -> Any:
        """In a thread, with all or almost all of the request received."""
        try:
            conn.sock.setblocking(True)
            conn.data_ready = True
            conn.start_request()
        except OSError:
            return False
        return super().handle(conn)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        self._with_threads -= 1
        # A graceful close waits for the client, which the loop must not do.
        conn.close = partial(self._close, conn)
        super().finish_request(conn, fs)

    def _buffer(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        self._buffering.add(connection)
        if connection.buffered and connection.is_complete():
            self._stop_buffering(connection)
            self._give_to_thread(connection)
        else:
            self._receive(connection, connection.sock)
        if connection in self._buffering:
            self.poller.register(connection.sock, EVENT_READ, partial(self._receive, connection))
            connection.is_polled = True

    def _receive(self, connection: Connection, client: socket.socket) -> None:
        try:
            received = client.recv(RECEIVED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        connection.buffered += received
        self._bytes_buffered += len(received)
        if not received:
            self._stop_buffering(connection)
            self._drop(connection)
        elif connection.is_complete():
            self._stop_buffering(connection)
            self._give_to_thread(connection)
        elif self._bytes_buffered > MOST_BUFFERED:
            self._stop_buffering(connection)
            self._refuse(connection, TOO_MANY, "too_many")

    def _stop_buffering(self, connection: Connection) -> None:
        if connection.is_polled:
            self.poller.unregister(connection.sock)
            connection.is_polled = False
        self._buffering.discard(connection)
        self._bytes_buffered -= len(connection.buffered)

    def _give_to_thread(self, connection: Connection) -> None:
        if self._with_threads >= self.cfg.threads + MOST_WAITING:
            self._refuse(connection, TOO_MANY, "too_many")
            return
        self._with_threads += 1
        super().enqueue_req(connection)

    def _refuse(self, connection: Connection, answer: bytes, reason: str) -> None:
        """Without a thread or the application. A client that cannot take the answer at once misses it."""
        if (metrics := self.wsgi.extensions.get("metrics")) is not None:
            metrics.rejected("none", reason)
        connection.sock.setblocking(False)
        with suppress(OSError):
            connection.sock.send(answer)
        self.nr_conns -= 1
        self._close(connection, graceful=True)

    def _drop(self, connection: Connection) -> None:
        self.nr_conns -= 1
        TConn.close(connection)

    def _close(self, connection: Connection, graceful: bool = False) -> None:
        """Gracefully: end our side and read what still arrives, or a reset could discard our answer."""
        if not graceful or len(self._lingering) >= MOST_CLOSING:
            TConn.close(connection)
            return
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
            self.poller.register(connection.sock, EVENT_READ, partial(self._linger, connection))
        except (OSError, ValueError, KeyError):
            TConn.close(connection)
            return
        self._lingering[connection] = time.monotonic() + TIME_TO_CLOSE

    def _linger(self, connection: Connection, client: socket.socket) -> None:
        try:
            is_open = bool(client.recv(RECEIVED_AT_ONCE))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            is_open = False
        if not is_open:
            self._stop_lingering(connection)

    def _stop_lingering(self, connection: Connection) -> None:
        del self._lingering[connection]
        self.poller.unregister(connection.sock)
        TConn.close(connection)
