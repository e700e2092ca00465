"""Hostile bytes for the receiver's socket, and what must hold for whatever it answers."""

import random
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from tests.support.github import deployment_status, signed

PATIENCE: Final = 30.0
STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
NO_FAILURE: Final = frozenset(
    {200, 202, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 422, 431, 501, 505}
)
AUTHENTIC: Final = frozenset({200, 202})
FIELDS: Final = (
    b"Transfer-Encoding: chunked",
    b"Content-Length: 5",
    b"Content-Length: 6",
    b"Expect: 100-continue",
)
ODD: Final = (
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b"\xff",
    b"\x0b",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"\xe2\x80\xae",
)


def request(*fields: bytes, body: bytes = b"", line: bytes = b"POST /webhooks/github HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: localhost", b"Connection: close", *fields, b"", body])


def authentic(body: bytes, *, event: str = "deployment_status", framing: bytes | None = None) -> bytes:
    """A request that GitHub's secret has signed, whatever is in it."""
    fields = [f"{name}: {value}".encode() for name, value in signed(body, event=event).items()]
    if framing is not None:
        return request(*fields, b"Transfer-Encoding: chunked", body=framing)
    return request(*fields, b"Content-Length: %d" % len(body), body=body)


SMUGGLED: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MALFORMED: Final = {
    "both lengths": request(*FIELDS[:2], body=b"0\r\n\r\n" + SMUGGLED),
    "two lengths": request(*FIELDS[1:3], body=b"12345" + SMUGGLED),
    "length list": request(b"Content-Length: 5, 5", body=b"12345" + SMUGGLED),
    "signed length": request(b"Content-Length: +5", body=b"12345" + SMUGGLED),
    "negative length": request(b"Content-Length: -5", body=b"12345"),
    "hexadecimal length": request(b"Content-Length: 0x5", body=b"12345"),
    "length of many digits": request(b"Content-Length: " + b"9" * 400),
    "length in other digits": request("Content-Length: \u0665".encode(), body=b"12345"),
    "space before colon": request(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "tab in the coding": request(b"Transfer-Encoding:\tchunked\x0b", body=b"0\r\n\r\n" + SMUGGLED),
    "coding that is not chunked": request(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked twice": request(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked before identity": request(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
    "folded field": request(b"X-Folded: a\r\n b: Transfer-Encoding", b"Content-Length: 0"),
    "field without colon": request(b"NoColonHere", b"Content-Length: 0"),
    "bare line feeds": b"POST /webhooks/github HTTP/1.1\nHost: x\nContent-Length: 0\n\n\r\n\r\n",
    "bare carriage return": request(b"X-A: a\rContent-Length: 5", b"Content-Length: 0"),
    "nul in a field": request(b"X-A: a\x00b", b"Content-Length: 0"),
    "underscores": request(b"Transfer_Encoding: chunked", b"Content-Length: 0"),
    "chunk without a size": request(FIELDS[0], body=b"\r\nabc\r\n0\r\n\r\n"),
    "chunk of negative size": request(FIELDS[0], body=b"-1\r\na\r\n0\r\n\r\n"),
    "chunk of hexadecimal prefix": request(FIELDS[0], body=b"0x1\r\na\r\n0\r\n\r\n"),
    "chunk of too many digits": request(FIELDS[0], body=b"F" * 40 + b"\r\na\r\n0\r\n\r\n"),
    "chunk too short": request(FIELDS[0], body=b"1\r\nabc\r\n0\r\n\r\n"),
    "chunk line without end": request(FIELDS[0], body=b"1;" + b"a" * 70_000),
    "chunk extension with nul": request(FIELDS[0], body=b"1;\x00=\x00\r\na\r\n0\r\n\r\n"),
    "trailer that sets a length": request(FIELDS[0], body=b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "line without end": b"POST /" + b"a" * 70_000,
    "field without end": request(b"X-A: " + b"a" * 70_000),
    "a thousand fields": request(*(b"X-%d: 1" % number for number in range(1_000)), b"Content-Length: 0"),
    "no version": request(line=b"POST /webhooks/github"),
    "version of another protocol": request(b"Content-Length: 0", line=b"POST /webhooks/github SPDY/3"),
    "absolute target": request(b"Content-Length: 0", line=b"POST http://[::1/webhooks/github HTTP/1.1"),
    "target of escapes": request(b"Content-Length: 0", line=b"POST /%00%ff%2e%2e/%0d%0aX:1 HTTP/1.1"),
    "target of raw bytes": request(b"Content-Length: 0", line=b"POST /webhooks/\xff\xfe HTTP/1.1"),
    "unknown method": request(b"Content-Length: 0", line=b"PO\x00ST /webhooks/github HTTP/1.1"),
    "preface of http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
    "path for the other program": request(b"Content-Length: 0", b"SCRIPT_NAME: /x", b"PATH_INFO: /healthz"),
    "compressed": request(b"Content-Encoding: gzip", b"Content-Length: 5", body=b"\x1f\x8b\x08\x00\x00"),
    "expectation": request(b"Expect: something else", b"Content-Length: 0"),
}
"""None of these carries a signature: nothing in them may be accepted, and none may break anything."""

JSON: Final = {
    "deep lists": b"[" * 100_000,
    "deep lists that end": b"[" * 5_000 + b"]" * 5_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a number of many digits": b'{"deployment": {"id": ' + b"9" * 100_000 + b"}}",
    "a huge exponent": b'{"deployment": {"id": 1e999999999}}',
    "not numbers": b'{"deployment": {"id": NaN, "x": Infinity}}',
    "no utf-8": b'{"deployment": {"id": "\xff\xfe\x80"}}',
    "half a surrogate": b'{"deployment": {"id": "\\ud800"}}',
    "nul": b'{"deployment": {"id": "\\u0000"}}\x00',
    "utf-16": '{"deployment": {}}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "the same name twice": b'{"deployment": 1, "deployment": {}}',
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
}
"""All of these are signed: whatever is in them, what GitHub sends gets no 4xx and no 5xx."""


def answers(url: str, sent: bytes, pieces: Sequence[int] = ()) -> list[int]:
    """The statuses that come back for these bytes, sent whole or cut there, until the connection ends."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    received = bytearray()
    with socket.create_connection((host, port), timeout=PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            start = 0
            for end in (*sorted(pieces), len(sent)):
                client.sendall(sent[start:end])
                start = end
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65_536):
                received += part
        except ConnectionError:
            pass  # It may refuse to read on; what it said before counts.
    return [status for found in STATUS.findall(received) if (status := int(found)) != 100]


def mutations(chance: random.Random) -> Iterator[tuple[bytes, list[int]]]:
    """Requests with bytes changed, and where to cut them when sending, without end."""
    seeds = [
        *MALFORMED.values(),
        authentic(deployment_status(1)),
        authentic(b"{}", framing=b"2\r\n{}\r\n0\r\n\r\n"),
    ]
    while True:
        sent = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(sent) + 1)
            match chance.randrange(4):
                case 0:
                    sent[place:place] = chance.choice(ODD)
                case 1:
                    del sent[place : place + chance.randint(1, 20)]
                case 2:
                    sent[place : place + 1] = bytes([chance.randrange(256)])
                case _:
                    sent[place:place] = chance.choice(FIELDS) + b"\r\n"
        yield bytes(sent), [chance.randrange(len(sent) + 1) for _ in range(chance.randrange(4))]
