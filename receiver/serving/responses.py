"""Responses as bytes: answers, as gunicorn would write what Flask returns, and refusals of requests that the
application does not see.
"""

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from gunicorn import SERVER  # type: ignore[import-untyped]  # has no types
from gunicorn.http.errors import (  # type: ignore[import-untyped]  # has no types
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)
from gunicorn.util import http_date  # type: ignore[import-untyped]

from receiver.web.answers import SECURITY_HEADERS, Answer
from receiver.web.request_ids import HEADER

OF_ALL: Final = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())


class ResponseWriter:
    """Writes whole HTTP/1.1 responses."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def response(self, answer: Answer, request_id: str, *, is_kept: bool) -> bytes:
        body = answer.body.encode()
        headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        head = (
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase.upper()}\r\n"
            f"Server: {SERVER}\r\n"
            f"Date: {self._date_now()}\r\n"
            f"Connection: {'keep-alive' if is_kept else 'close'}\r\n"
            f"{headers}Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"{OF_ALL}{HEADER}: {request_id}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _date_now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, http_date(second)
        return self._date


@dataclass(frozen=True, slots=True)
class Refusal:
    """`reason` is the value of the metric's label, and in the log; `kind` says more in the log."""

    answer: bytes
    reason: str
    kind: str


def _refusal(
    status: HTTPStatus, detail: str, reason: str, kind: str | None = None, *, headers: str = ""
) -> Refusal:
    """RFC 9457, like the application's errors."""
    body = json.dumps({"title": status.phrase, "status": status.value, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Connection: close\r\n{headers}"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Refusal(head.encode() + body, reason, kind or reason)


LATER: Final = "Retry-After: 30\r\n"
TOO_MANY: Final = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests at once; send it again.", "too_many", headers=LATER
)
NO_ROOM: Final = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Too many large requests at once; send it again.",
    "too_many",
    "no_memory",
    headers=LATER,
)
TOO_LATE: Final = _refusal(
    HTTPStatus.REQUEST_TIMEOUT, "The request was not there in time.", "too_slow", headers=LATER
)
FAILURE: Final = _refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The receiver failed; its log says why. Sending again later is safe.",
    "failure",
)
MALFORMED_BODY: Final = _refusal(
    HTTPStatus.BAD_REQUEST, "The body could not be read.", "unreadable", "malformed_body"
)
MALFORMED_HEAD: Final = _refusal(
    HTTPStatus.BAD_REQUEST,
    "The request line or a header is malformed.",
    "unreadable",
    "malformed_head",
)
HEAD_TOO_LARGE: Final = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large.", "unreadable", "head_too_large"
)
BY_ERROR: Final = (
    (
        LimitRequestLine,
        _refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.", "unreadable", "head_too_large"),
    ),
    (LimitRequestHeaders, HEAD_TOO_LARGE),
    (
        UnsupportedTransferCoding,
        _refusal(
            HTTPStatus.NOT_IMPLEMENTED,
            "The only transfer coding is chunked.",
            "unreadable",
            "transfer_coding",
        ),
    ),
    (
        ExpectationFailed,
        _refusal(
            HTTPStatus.EXPECTATION_FAILED,
            "The only expectation is 100-continue.",
            "unreadable",
            "expectation",
        ),
    ),
)


def refusal_of(error: Exception) -> Refusal:
    """The answer to what gunicorn's parser could not read."""
    found = (refusal for kind, refusal in BY_ERROR if isinstance(error, kind))
    return next(found, MALFORMED_HEAD)
