"""What has come of a client's next request, and whether that is all of it."""

import re
import time
from contextlib import suppress
from typing import Any, Final

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]  # has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

REQUEST_TIMEOUT: Final = 20.0
"""Seconds from a connection, or a request's first byte on a kept one, to its last. Senders wait 10 s."""
LARGEST_HEAD: Final = 64 * 1024
"""Bytes; gunicorn's own limits for lines and fields are below, and it says what is wrong."""
LARGEST_BODY: Final = 33 * 1024 * 1024
"""Bytes as they come; what is allowed, and what is read beyond it for the sake of a good answer."""
LONGEST_CHUNK_LINE: Final = 8 * 1024
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class TooSlow(NoMoreData):  # type: ignore[misc]  # untyped, see above
    """The request was not there in time."""


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
        self.is_polled = False
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
