"""gunicorn's threaded worker, made to bear slow, idle and too many clients without a proxy in front.

gunicorn gives each connection to a thread, which waits for the client: 5 s for its first byte, without end
for the rest; and the loop that serves all waits 2 s for it to close. Here the loop collects requests, and a
thread gets one when it is whole. What is collected is bounded in time, bytes and number.
"""

import json
import re
import socket
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]  # has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import (  # type: ignore[import-untyped]
    STOP_KEEPALIVE_LINGER,
    TConn,
)

from receiver.prompt_stop import PromptWorker

REQUEST_TIMEOUT: Final = 20.0
"""Seconds from a connection, or a request's first byte on a kept one, to its last. Senders wait 10 s."""
MOST_WAITING: Final = 256
"""Whole requests that wait for a thread; at some 700 a second the last of them waits well under a second."""
MOST_COLLECTED: Final = 64 * 1024 * 1024
"""Bytes of requests that are not whole, all connections of a process together: two of the largest allowed."""
LARGEST_HEAD: Final = 64 * 1024
"""Bytes; gunicorn's own limits for lines and fields are below, and it says what is wrong."""
LARGEST_BODY: Final = 33 * 1024 * 1024
"""Bytes as they come; what is allowed, and what is read beyond it for the sake of a good answer."""
LONGEST_CHUNK_LINE: Final = 8 * 1024
RECEIVED_AT_ONCE: Final = 256 * 1024
TIME_TO_CLOSE: Final = 2.0
MOST_CLOSING: Final = 1_000
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class TooSlow(NoMoreData):  # type: ignore[misc]  # untyped, see above
    """The request was not there in time."""


def _answer(status: HTTPStatus, detail: str) -> bytes:
    body = json.dumps({"title": status.phrase, "status": status.value, "detail": detail}).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nRetry-After: 30\r\n"
    kind = f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + kind).encode() + body


TOO_MANY: Final = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests at once; send it again.")
TOO_LATE: Final = _answer(HTTPStatus.REQUEST_TIMEOUT, "The request was not there in time.")


class DeadlineUnreader(SocketUnreader):  # type: ignore[misc]  # untyped, see above
    """Reads from a socket until a moment, however little comes at a time."""

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection.sock)
        self._connection = connection

    def chunk(self, size_hint: int | None = None) -> bytes:
        remaining = self._connection.deadline - time.monotonic()
        if remaining <= 0:
            raise TooSlow
        self.sock.settimeout(remaining)
        try:
            received: bytes = super().chunk(size_hint)
        except TimeoutError:
            raise TooSlow from None
        return received


class Connection(TConn):  # type: ignore[misc]  # untyped, see above
    """One client's connection, and what has come of its next request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.deadline = time.monotonic() + REQUEST_TIMEOUT
        self.collected = bytearray()
        self._whole_at: int | None = None
        self._next_chunk: int | None = None

    def init(self) -> None:
        is_new = not self.initialized
        super().init()
        if is_new and not self.is_http2:
            self.parser.unreader = DeadlineUnreader(self)

    def hand_over(self) -> None:
        """In a thread: what was collected goes before what is still in the socket."""
        self.init()
        if self.collected:
            self.parser.unreader.unread(bytes(self.parser.unreader.take_buffered() + self.collected))
        self.collected, self._whole_at, self._next_chunk = bytearray(), None, None

    def is_whole(self) -> bool:
        """Whether a thread would not have to wait; also where waiting for more is of no use.

        Only says when to begin: what the request is, and whether it is one, gunicorn's parser decides.
        """
        if self._whole_at is None and self._next_chunk is None and not self._has_head():
            return len(self.collected) >= LARGEST_HEAD
        if len(self.collected) >= LARGEST_HEAD + LARGEST_BODY:
            return True
        if self._next_chunk is not None:
            return self._has_last_chunk()
        return len(self.collected) >= (self._whole_at or 0)

    def _has_head(self) -> bool:
        end = self.collected.find(b"\r\n\r\n", 0, LARGEST_HEAD)
        if end < 0:
            return False
        head = bytes(self.collected[:end]).lower()
        length = re.search(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*(?:\r\n|$)", head)
        if b"\r\ntransfer-encoding:" in head:
            self._next_chunk = end + 4
        else:
            # What says that it is too large is answered without waiting for it.
            size = int(length[1]) if length else 0
            self._whole_at = end + 4 + (size if size <= LARGEST_BODY else 0)
        if b"\r\nexpect:" in head and len(self.collected) == end + 4:
            with suppress(OSError):
                self.sock.send(CONTINUE)
        return True

    def _has_last_chunk(self) -> bool:
        """RFC 9112, section 7.1. What is no chunk counts as the last, too: the parser says what is wrong."""
        while True:
            start = self._next_chunk or 0
            end = self.collected.find(b"\r\n", start, start + LONGEST_CHUNK_LINE)
            if end < 0:
                return len(self.collected) - start >= LONGEST_CHUNK_LINE
            size = re.match(rb"[0-9A-Fa-f]{1,8}", self.collected[start:end])
            if size is None:
                return True
            if int(size[0], 16) == 0:
                return self.collected.find(b"\r\n\r\n", end) >= 0
            after = end + 2 + int(size[0], 16)
            if after + 2 > len(self.collected):
                return False
            if self.collected[after : after + 2] != b"\r\n":
                return True
            self._next_chunk = after + 2


class BoundedWorker(PromptWorker):
    """All of this but `handle` runs on the one loop of the process."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_hand = 0
        self._bytes_collected = 0
        self._collecting: set[Connection] = set()
        self._lingering: dict[Connection, float] = {}
        self._stopping_at = time.monotonic()

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client, address, listener.getsockname())
        if self.cfg.is_ssl:
            self._give_to_thread(connection)
        else:
            self._collect(connection)

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """The next request on a kept connection begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.deadline = time.monotonic() + REQUEST_TIMEOUT
        if self.cfg.is_ssl:
            self._give_to_thread(conn)
        else:
            self._collect(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Gunicorn calls this where the next request's beginning came along with the last one."""
        conn.deadline = time.monotonic() + REQUEST_TIMEOUT
        conn.collected += conn.parser.unreader.take_buffered()
        self._bytes_collected += len(conn.collected)
        self._collect(conn)

    def murder_pending(self) -> None:
        """Gunicorn looks about once a second: what is late goes."""
        super().murder_pending()
        now = time.monotonic()
        if not self.alive:
            # As long as gunicorn gives kept connections for what may be on its way.
            for connection in self._collecting:
                if not connection.collected:
                    connection.deadline = min(connection.deadline, self._stopping_at + STOP_KEEPALIVE_LINGER)
        else:
            self._stopping_at = now
        for connection in [each for each in self._collecting if each.deadline <= now]:
            self._stop_collecting(connection)
            if connection.collected:
                self._refuse(connection, TOO_LATE, "too_slow")
            else:
                self._drop(connection)
        for connection in [each for each, until in self._lingering.items() if until <= now]:
            self._stop_lingering(connection)

    def handle(self, conn: Connection) -> Any:
        """In a thread, with all of the request there or as good as."""
        try:
            conn.sock.setblocking(True)
            conn.data_ready = True
            conn.hand_over()
        except OSError:
            return False
        return super().handle(conn)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        self._in_hand -= 1
        # Closing in good order waits for the client, which must not be done here.
        conn.close = partial(self._close, conn)
        super().finish_request(conn, fs)

    def _collect(self, connection: Connection) -> None:
        connection.sock.setblocking(False)
        self._collecting.add(connection)
        self.poller.register(connection.sock, EVENT_READ, partial(self._receive, connection))
        if connection.collected and connection.is_whole():
            self._stop_collecting(connection)
            self._give_to_thread(connection)
        else:
            self._receive(connection, connection.sock)

    def _receive(self, connection: Connection, client: socket.socket) -> None:
        try:
            received = client.recv(RECEIVED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        connection.collected += received
        self._bytes_collected += len(received)
        if not received:
            self._stop_collecting(connection)
            self._drop(connection)
        elif connection.is_whole():
            self._stop_collecting(connection)
            self._give_to_thread(connection)
        elif self._bytes_collected > MOST_COLLECTED:
            self._stop_collecting(connection)
            self._refuse(connection, TOO_MANY, "too_many")

    def _stop_collecting(self, connection: Connection) -> None:
        self.poller.unregister(connection.sock)
        self._collecting.discard(connection)
        self._bytes_collected -= len(connection.collected)

    def _give_to_thread(self, connection: Connection) -> None:
        if self._in_hand >= self.cfg.threads + MOST_WAITING:
            self._refuse(connection, TOO_MANY, "too_many")
            return
        self._in_hand += 1
        super().enqueue_req(connection)

    def _refuse(self, connection: Connection, answer: bytes, reason: str) -> None:
        """With no thread and no application; a client that does not take the answer at once misses it."""
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
        """In good order: end our side and read what still comes, lest a reset takes our answer away."""
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
