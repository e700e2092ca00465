"""Request bodies as PEP 3333 leaves them to applications, so that none has to know gunicorn's exceptions."""

import io
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]  # has no types


class MalformedBody(OSError):
    """The body's chunks or trailers are not what RFC 9112 says; an `OSError`, like a lost connection."""


class RequestBody(io.RawIOBase):
    """Reads gunicorn's body. Raises `OSError` whenever the rest of it cannot be read."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data: bytes = self._body.read(len(buffer))
        except ParseException as error:
            raise MalformedBody(str(error)) from error
        buffer[: len(data)] = data
        return len(data)


class BodyErrors:
    """WSGI middleware that hands the application a `RequestBody` as `wsgi.input`."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = RequestBody(environ["wsgi.input"])
        return self._application(environ, start_response)
