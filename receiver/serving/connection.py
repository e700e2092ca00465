"""A client's connection, the bytes received of its next request, and whether the request is complete."""

import re
import time
from contextlib import suppress
from typing import Any, Final

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]  # has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

REQUEST_TIMEOUT: Final = 20.0
"""Seconds from connecting (on a kept connection, from the first byte) to the last byte. Senders wait 10 s."""
LARGEST_HEAD: Final = 64 * 1024
"""Bytes; gunicorn's own limits for lines and fields are lower, and its errors say what is wrong."""
LARGEST_BODY: Final = 33 * 1024 * 1024
"""Bytes as received: what is allowed, and what is read beyond that so that the sender gets an answer."""
LONGEST_CHUNK_LINE: Final = 8 * 1024
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class TooSlow(NoMoreData):  # type: ignore[misc]  # untyped, see above
    """The request was not complete in time."""


class DeadlineUnreader(SocketUnreader):  # type: ignore[misc]  # untyped, see above
    """Reads from a socket until the connection's deadline, however few bytes arrive at a time."""

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
    """One client's connection, and the bytes received of its next request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.deadline = time.monotonic() + REQUEST_TIMEOUT
        self.buffered = bytearray()
        self.is_polled = False
        self._complete_at: int | None = None
        self._next_chunk: int | None = None

    def init(self) -> None:
        is_new = not self.initialized
        super().init()
        if is_new and not self.is_http2:
            self.parser.unreader = DeadlineUnreader(self)

    def start_request(self) -> None:
        """In a thread: the parser reads what was buffered before what is still in the socket."""
        self.init()
        if self.buffered:
            self.parser.unreader.unread(bytes(self.parser.unreader.take_buffered() + self.buffered))
        self.buffered, self._complete_at, self._next_chunk = bytearray(), None, None

    def is_complete(self) -> bool:
        """Whether a thread would not have to wait, or waiting for more bytes is useless.

        This only decides when to start. Whether the request is valid, gunicorn's parser decides.
        """
        if self._complete_at is None and self._next_chunk is None and not self._has_head():
            return len(self.buffered) >= LARGEST_HEAD
        if len(self.buffered) >= LARGEST_HEAD + LARGEST_BODY:
            return True
        if self._next_chunk is not None:
            return self._has_last_chunk()
        return len(self.buffered) >= (self._complete_at or 0)

    def _has_head(self) -> bool:
        end = self.buffered.find(b"\r\n\r\n", 0, LARGEST_HEAD)
        if end < 0:
            return False
        head = bytes(self.buffered[:end]).lower()
        length = re.search(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*(?:\r\n|$)", head)
        if b"\r\ntransfer-encoding:" in head:
            self._next_chunk = end + 4
        else:
            # A request whose length is over the limit is answered without waiting for its body.
            size = int(length[1]) if length else 0
            self._complete_at = end + 4 + (size if size <= LARGEST_BODY else 0)
        if b"\r\nexpect:" in head and len(self.buffered) == end + 4:
            with suppress(OSError):
                self.sock.send(CONTINUE)
        return True

    def _has_last_chunk(self) -> bool:
        """RFC 9112, section 7.1. A malformed chunk counts as the last one: the parser says what is wrong."""
        while True:
            start = self._next_chunk or 0
            end = self.buffered.find(b"\r\n", start, start + LONGEST_CHUNK_LINE)
            if end < 0:
                return len(self.buffered) - start >= LONGEST_CHUNK_LINE
            size = re.match(rb"[0-9A-Fa-f]{1,8}", self.buffered[start:end])
            if size is None:
                return True
            if int(size[0], 16) == 0:
                return self.buffered.find(b"\r\n\r\n", end) >= 0
            after = end + 2 + int(size[0], 16)
            if after + 2 > len(self.buffered):
                return False
            if self.buffered[after : after + 2] != b"\r\n":
                return True
            self._next_chunk = after + 2
