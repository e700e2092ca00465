"""When a request is complete, and that reading one ends."""

import socket
import time
from types import SimpleNamespace

import pytest

from receiver.serving.connection import LARGEST_BODY, LARGEST_HEAD, Connection, DeadlineUnreader, TooSlow

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        POST + b"Content-Length: 5\r\n\r\n12345",
        POST + b"content-length:\t5 \r\n\r\n12345",
        CHUNKED + b"0\r\n\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\n\r\n",
        CHUNKED + b"5;a=b\r\n0\r\n\r\n\r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    ],
)
def test_a_request_is_complete_with_its_last_byte_and_not_before(request_: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(SimpleNamespace(), ours, None, None)
        for byte in request_:
            assert not connection.is_complete()
            connection.buffered.append(byte)
        assert connection.is_complete()


@pytest.mark.parametrize(
    "start",
    [
        b"x" * LARGEST_HEAD,
        POST + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1),
        POST + b"Content-Length: nonsense\r\n\r\n",
        CHUNKED + b"nonsense\r\n",
        CHUNKED + b"1\r\nabc",
        CHUNKED + b"1;" + b"a" * 10_000,
    ],
)
def test_what_more_bytes_cannot_mend_is_not_waited_for(start: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(SimpleNamespace(), ours, None, None)
        connection.buffered += start
        assert connection.is_complete()


@pytest.mark.parametrize("left", [0.05, -1.0])
def test_a_thread_reads_until_its_deadline_and_no_longer(left: float) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(SimpleNamespace(), ours, None, None)
        connection.deadline = time.monotonic() + left
        began = time.monotonic()
        with pytest.raises(TooSlow):
            DeadlineUnreader(connection).chunk()
        assert time.monotonic() - began < 5.0
