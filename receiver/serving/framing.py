"""Where a request's body ends: decoders that are fed what arrives and never wait.

https://www.rfc-editor.org/rfc/rfc9112#section-6
"""

import re
from collections.abc import Callable
from typing import Any, Final, Protocol

from gunicorn.http.body import CHUNK_EXT_RE, ChunkedReader, LengthReader  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]

Sink = Callable[[memoryview], object]
"""Takes the next bytes of a body, which it copies if it keeps them."""

LONGEST_CHUNK_LINE: Final = 8 * 1024
LARGEST_TRAILERS: Final = 8 * 1024
MOST_SMALL_CHUNKS: Final = 50_000
SMALL_CHUNK: Final = 256
"""Bytes that chunks must have on average after so many: each costs time, and the loop has one thread."""
CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")


class MalformedBody(Exception):
    """What arrived is no body as RFC 9112 describes it; where the next request begins is unknown."""


class Framing(Protocol):
    is_complete: bool

    def feed(self, data: memoryview, sink: Sink) -> int:
        """Pass the body's bytes on and return how many of these belong to it. Raises `MalformedBody`."""
        ...


def framing_of(request: Any) -> Framing:
    """As gunicorn's parser decided from the head, which also refuses contradictions."""
    reader = request.body.reader
    if isinstance(reader, ChunkedReader):
        return Chunks(request)
    return Length(reader.length if isinstance(reader, LengthReader) else 0)


class Length:
    """A body of a known length, possibly none."""

    def __init__(self, length: int) -> None:
        self._missing = length
        self.is_complete = length == 0

    def feed(self, data: memoryview, sink: Sink) -> int:
        taken = min(len(data), self._missing)
        if taken:
            sink(data[:taken])
            self._missing -= taken
            self.is_complete = self._missing == 0
        return taken


class Chunks:
    """A chunked body, with its trailers, which gunicorn checks."""

    def __init__(self, request: Any) -> None:
        self.is_complete = False
        self._request = request
        self._line = bytearray()
        """The beginning of a line, or of the trailers, whose end has not arrived."""
        self._missing = 0
        self._is_in_trailers = False
        self._is_after_chunk = False
        self._chunks = 0
        self._size = 0

    def feed(self, data: memoryview, sink: Sink) -> int:
        at = 0
        while at < len(data) and not self.is_complete:
            if self._missing:
                part = data[at : at + self._missing]
                sink(part)
                self._missing -= len(part)
                at += len(part)
            elif self._is_in_trailers:
                at += self._trailers(bytes(data[at:]))
            else:
                at += self._next_line(data[at : at + LONGEST_CHUNK_LINE + 2])
        return at

    def _next_line(self, data: memoryview) -> int:
        """A chunk's size, or the empty line after its bytes."""
        before = len(self._line)
        self._line += data
        end = self._line.find(b"\r\n", max(0, before - 1))
        if end < 0:
            if len(self._line) > LONGEST_CHUNK_LINE or (self._is_after_chunk and len(self._line) > 1):
                raise MalformedBody
            return len(data)
        line, self._line = bytes(self._line[:end]), bytearray()
        if self._is_after_chunk:
            if line:
                raise MalformedBody
            self._is_after_chunk = False
        else:
            self._begin_chunk(line)
        return end + 2 - before

    def _begin_chunk(self, line: bytes) -> None:
        size, semicolon, extension = line.partition(b";")
        if semicolon:
            size = size.rstrip(b" \t")
            if not CHUNK_EXT_RE.fullmatch(semicolon + extension):
                raise MalformedBody
        if not CHUNK_SIZE.fullmatch(size):
            raise MalformedBody
        self._missing = int(size, 16)
        self._is_in_trailers = self._missing == 0
        self._is_after_chunk = self._missing > 0
        self._chunks += 1
        self._size += self._missing
        if self._chunks > MOST_SMALL_CHUNKS and self._size < SMALL_CHUNK * self._chunks:
            raise MalformedBody

    def _trailers(self, data: bytes) -> int:
        before = len(self._line)
        self._line += data[: LARGEST_TRAILERS + 4]
        if self._line.startswith(b"\r\n"):
            self.is_complete = True
            return 2 - before
        end = self._line.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            if len(self._line) > LARGEST_TRAILERS:
                raise MalformedBody
            return len(data)
        try:
            self._request.parse_headers(bytes(self._line[:end]), from_trailer=True)
        except ParseException as error:
            raise MalformedBody from error
        self.is_complete = True
        return end + 4 - before
