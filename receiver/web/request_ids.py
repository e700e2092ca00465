"""An id for each request, the caller's or ours: in the response's header and in every log line about it."""

import re
from secrets import token_hex
from typing import Final

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

HEADER: Final = "X-Request-ID"
ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""Anything else is replaced and not cut: half an id is found in nobody's log."""


def request_id(given: str) -> str:
    """The caller's id if it has one that can be used, else a new one."""
    return given if ACCEPTABLE.fullmatch(given) else token_hex(8)


def identify_requests(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.request_id = request_id(request.headers.get(HEADER, ""))
        clear_contextvars()
        bind_contextvars(request=g.request_id)

    @app.after_request
    def tell(response: Response) -> Response:
        if "request_id" in g:
            response.headers[HEADER] = g.request_id
        return response
