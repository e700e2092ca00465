"""When a request can be answered, and what is refused before it can."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # has no types

from receiver.serving.connection import LARGEST_HEAD, Connection, Unacceptable

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


class Body:
    """Takes at most `limit` bytes."""

    def __init__(self, limit: int = MIB) -> None:
        self.limit = limit
        self.length: int | None = None
        self.content = b""
        self.is_finished = False

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def is_refused(self) -> bool:
        return self.size > self.limit

    def add(self, part: bytes | memoryview) -> None:
        self.content += part

    def finish(self) -> None:
        self.is_finished = True


@pytest.fixture
def connection() -> Iterator[Connection]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(Config(), ours, ("192.0.2.1", 1), ("192.0.2.2", 80))


def feed(connection: Connection, data: bytes, body: Body | None) -> None:
    def admit(_request: object, _client: object) -> tuple[Body | None, dict[str, Any]]:
        return body, {}

    connection.feed(memoryview(data), admit)


@pytest.mark.parametrize(
    ("request_", "content"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (POST + b"Content-Length: 5\r\n\r\n12345", b"12345"),
        (POST + b"content-length:\t5 \r\n\r\n12345", b"12345"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", b"12345"),
        (
            CHUNKED + b"5;a=b\r\n0\r\n\r\n\r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
            b"0\r\n\r\n0123456789",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_a_request_is_ready_with_its_last_byte_and_not_before(
    connection: Connection, request_: bytes, content: bytes, size: int
) -> None:
    body = Body()
    following = b"GET "
    parts = [request_[at : at + size] for at in range(0, len(request_), size)]
    parts[-1] += following
    for part in parts:
        assert connection.exchange is None or not connection.exchange.is_ready
        feed(connection, part, body)
    assert connection.exchange is not None
    assert connection.exchange.is_ready
    assert body.is_finished
    assert body.content == content
    assert connection.received == following


def feed_in_parts(connection: Connection, data: bytes) -> None:
    for at in range(0, len(data), 4_000):
        feed(connection, data[at : at + 4_000], Body())


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"x" * LARGEST_HEAD, "head_too_large"),
        (POST + b"X-Y: 1\r\n" * LARGEST_HEAD, "head_too_large"),
        (POST + b"Content-Length: nonsense\r\n\r\n", "malformed_head"),
        (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "malformed_head"),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_head"),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", "transfer_coding"),
        (POST + b"Expect: more\r\n\r\n", "expectation"),
        (CHUNKED + b"nonsense\r\n", "malformed_body"),
        (CHUNKED + b"1\r\nabc", "malformed_body"),
        (CHUNKED + b"-1\r\n", "malformed_body"),
        (CHUNKED + b"\r\n", "malformed_body"),
        (CHUNKED + b"1 \r\n", "malformed_body"),
        (CHUNKED + b"1\n\r\n", "malformed_body"),
        (CHUNKED + b"1;\x00\r\n", "malformed_body"),
        (CHUNKED + b"1;" + b"a" * 10_000, "malformed_body"),
        (CHUNKED + b"0\r\nno trailer\r\n\r\n", "malformed_body"),
        (CHUNKED + b"0\r\nContent-Length: 1\r\n\r\n", "malformed_body"),
        (CHUNKED + b"0\r\nX-T: " + b"a" * 10_000, "malformed_body"),
        (CHUNKED + b"1\r\na\r\n" * 50_001, "malformed_body"),
    ],
)
def test_what_more_bytes_cannot_repair_is_refused(connection: Connection, start: bytes, kind: str) -> None:
    with pytest.raises(Unacceptable) as caught:
        feed_in_parts(connection, start)
    assert caught.value.refusal.kind == kind


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5"])
def test_a_body_that_nobody_wants_is_not_waited_for(connection: Connection, framing: bytes) -> None:
    feed(connection, POST + framing, None)
    assert connection.exchange is not None
    assert connection.exchange.is_ready
    assert not connection.exchange.framing.is_complete


def test_a_body_over_its_limit_is_not_waited_for(connection: Connection) -> None:
    feed(connection, CHUNKED + b"ffff\r\n" + b"a" * 101, Body(limit=100))
    assert connection.exchange is not None
    assert connection.exchange.is_ready
    assert connection.size < 100  # the head
