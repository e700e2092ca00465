"""Answers as bytes, the same as gunicorn makes of what Flask returns."""

import time
from typing import Final

from gunicorn import SERVER  # type: ignore[import-untyped]  # has no types
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
