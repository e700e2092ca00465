"""A client's connection, and what has arrived of its next request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Protocol

from gunicorn.http import wsgi  # type: ignore[import-untyped]  # has no types
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from receiver.serving.budget import needed
from receiver.serving.framing import Framing, MalformedBody, framing_of
from receiver.serving.responses import HEAD_TOO_LARGE, MALFORMED_BODY, MALFORMED_HEAD, Refusal, refusal_of

REQUEST_TIMEOUT: Final = 20.0
"""Seconds from connecting (on a kept connection, from the first byte) to the last byte. Senders wait 10 s."""
LARGEST_HEAD: Final = 64 * 1024
"""Bytes; gunicorn's own limits for lines and fields are lower, and its errors say what is wrong."""
END_OF_HEAD: Final = b"\r\n\r\n"


class Unacceptable(Exception):
    """The connection cannot go on: what arrived is no HTTP request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.kind)
        self.refusal = refusal


class Body(Protocol):
    """What takes a request's body; `receiver.web.admission.IncomingBody`."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    @property
    def is_refused(self) -> bool: ...

    @property
    def limit(self) -> int: ...

    @property
    def length(self) -> int | None:
        """As announced; `None` if it is chunked."""

    def add(self, part: memoryview, /) -> None: ...

    def finish(self) -> None: ...


Admit = Callable[[Any, Any], tuple[Body | None, dict[str, Any]]]
"""Says of a request that gunicorn has parsed, and of its client's address, what takes the body (`None` if
nobody reads it), and what the application is to find in its environment."""


@dataclass(slots=True)
class Exchange:
    """A request whose head has arrived, and the response to it."""

    head_size: int
    request: Any
    framing: Framing
    body: Body | None
    found: dict[str, Any]
    """What the application is to find in its environment."""
    expects_continue: bool
    request_id: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the application can answer: the rest of the body, if there is one, changes nothing."""
        return self.body is None or self.body.is_refused or self.framing.is_complete


class Connection(TConn):  # type: ignore[misc]  # untyped, see above
    """One client's connection."""

    def __init__(self, *arguments: Any, overhead: int = 0) -> None:
        """`overhead` is the memory in bytes that the connection itself costs while a request arrives."""
        super().__init__(*arguments)
        self.deadline = time.monotonic() + REQUEST_TIMEOUT
        self.received = bytearray()
        """Bytes of a head that is not complete, or of the request after this one."""
        self.exchange: Exchange | None = None
        self.is_receiving = False
        self.is_polled = False
        self.overhead = overhead
        self._searched = 0
        self._requests = 0

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the next request has arrived."""
        return not self.received and self.exchange is None

    @property
    def size(self) -> int:
        """Bytes of this connection that are in memory."""
        size = self.overhead + len(self.received)
        if self.exchange is not None:
            body = self.exchange.body
            size += self.exchange.head_size + (body.size if body and not body.is_refused else 0)
        return size

    @property
    def needed(self) -> int:
        """Bytes that its request will need."""
        body = self.exchange.body if self.exchange else None
        if self.exchange is None or body is None or self.exchange.is_ready:
            return self.size
        return self.size - body.size + needed(body.size, body.length, body.limit)

    def feed(self, data: memoryview, admit: Admit) -> None:
        """Take what has arrived; with nothing, what came with the request before. Raises `Unacceptable`."""
        if self.exchange is not None:
            self.received += data[self._feed_body(self.exchange, data) :]
            return
        self.received += data
        end = self.received.find(END_OF_HEAD, self._searched, LARGEST_HEAD)
        if end < 0:
            self._searched = max(0, len(self.received) - len(END_OF_HEAD) + 1)
            if len(self.received) >= LARGEST_HEAD:
                self._begin(bytes(self.received), admit)  # gunicorn says what is too long
                raise Unacceptable(HEAD_TOO_LARGE)
            return
        end += len(END_OF_HEAD)
        self.exchange = self._begin(bytes(self.received[:end]), admit)
        rest, self.received, self._searched = self.received[end:], bytearray(), 0
        self.received += rest[self._feed_body(self.exchange, memoryview(rest)) :]

    def _begin(self, head: bytes, admit: Admit) -> Exchange:
        self._requests += 1
        try:
            request = Request(self.cfg, IterUnreader([head]), self.client, self._requests)
            # Sent once the body is wanted and there is room for it, and not before.
            expects_continue, request._expected_100_continue = request._expected_100_continue, False  # noqa: SLF001
            framing, (body, found) = framing_of(request), admit(request, self.client)
        except (NoMoreData, StopIteration):
            raise Unacceptable(MALFORMED_HEAD if head.endswith(END_OF_HEAD) else HEAD_TOO_LARGE) from None
        except ParseException as error:
            raise Unacceptable(refusal_of(error)) from None
        return Exchange(len(head), request, framing, body, found, expects_continue)

    def response_and_environ(self, exchange: Exchange) -> tuple[Any, dict[str, Any]]:
        """What the application is called with, without the body."""
        response, environ = wsgi.create(exchange.request, self.sock, self.client, self.server, self.cfg)
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = BytesIO()
        environ.update(exchange.found)
        return response, environ

    def _feed_body(self, exchange: Exchange, data: memoryview) -> int:
        body, framing = exchange.body, exchange.framing
        try:
            used = framing.feed(data, body.add if body is not None else _discard)
        except MalformedBody:
            raise Unacceptable(MALFORMED_BODY) from None
        if body is not None and framing.is_complete and not body.is_refused:
            body.finish()
        return used


def _discard(_part: memoryview) -> None:
    """The application does not want it."""
