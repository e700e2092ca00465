"""Which requests may be deliveries, by their heads alone, and the bodies of those that may.

Knows neither Flask nor a server, so that a server can ask before it reads a body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final, Self
from wsgiref.types import WSGIEnvironment

from werkzeug.http import parse_options_header

from apitraffic_events.timestamps import now
from receiver.config.settings import Settings
from receiver.sources.refusals import names_in
from receiver.sources.request import MIB, PATH_ITEM, PATH_TOKEN
from receiver.sources.signatures import Verification
from receiver.sources.source import BODY_START, Source, explain_refusal
from receiver.web.client_address import client_address, is_in
from receiver.web.paths import own_path

ADMITTED: Final = "apitraffic.admitted"
"""The key under which a server that has read the body leaves what `Admission.admit` returned."""
HEAD: Final = "apitraffic.head"
"""Likewise, the `Head` that it was given."""
FIELD: Final = "HTTP_"
JSON: Final = "application/json"
METHODS: Final = frozenset({"POST", "PATCH", "PUT"})
"""The others are for items of a source with a path of its own."""
MOST_DIGITS: Final = 18


class Refused(Exception):
    """A request that is no delivery. `fields` are for the log."""

    def __init__(
        self, status: HTTPStatus, detail: str | None = None, source: str | None = None, **fields: object
    ) -> None:
        super().__init__(status.phrase)
        self.status = status
        self.detail = detail
        self.source = source
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head. The path is decoded and written as PEP 3333 wants it; header names are lower-case.

    The values of a header that is repeated are joined by commas. `peer` is the address that has connected.
    """

    method: str
    path: str
    headers: dict[str, str]
    peer: str | None

    @classmethod
    def of_environ(cls, environ: WSGIEnvironment) -> Self:
        return cls(
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO", ""),
            headers_of(environ),
            environ.get("REMOTE_ADDR"),
        )


class IncomingBody:
    """The body of a request that may be a delivery: hashed as it arrives, bounded, and kept once.

    `headers` are the request's, with lower-case names.
    """

    def __init__(
        self,
        source: Source[Any],
        headers: dict[str, str],
        verification: Verification,
        received_at: datetime,
        length: int | None,
    ) -> None:
        self.source = source
        self.headers = headers
        self.received_at = received_at
        self.length = length
        """Bytes as announced; `None` if the body is chunked."""
        self.size = 0
        """Bytes so far."""
        self.is_finished = False
        self._verification = verification
        self._content = BytesIO()
        self._refused: Refused | None = None

    @property
    def limit(self) -> int:
        """The most bytes that it may have."""
        return self.source.body_limit

    @property
    def is_refused(self) -> bool:
        """Whether the rest of the body changes nothing; nothing of it is kept by then."""
        return self._refused is not None

    def add(self, part: bytes | memoryview) -> None:
        """The next bytes, which are copied."""
        if self._refused is not None:
            return
        self.size += len(part)
        if self.size > self.source.body_limit:
            self._refuse(too_large(self.source))
            return
        self._verification.update(part)
        self._content.write(part)

    def finish(self) -> None:
        """After the last byte."""
        self.is_finished = True
        if self._refused is None and not self._verification.is_authentic():
            with self._content.getbuffer() as body:
                reason = explain_refusal(self.source, self.headers, bytes(body[:BODY_START]))
            self._refuse(
                Refused(HTTPStatus.UNAUTHORIZED, source=self.source.name, bytes=self.size, reason=reason)
            )

    def take(self) -> bytes:
        """The whole body, without a copy. Raises `Refused`."""
        if self._refused is not None:
            raise self._refused
        return self._content.getvalue()

    def _refuse(self, refused: Refused) -> None:
        self._refused = refused
        self._content = BytesIO()


class Admission:
    """What the configuration says about a request's head."""

    def __init__(self, settings: Settings) -> None:
        self._sources = settings.active_sources
        self._secrets = {name: settings.secrets_for(source) for name, source in self._sources.items()}
        self._allowed_senders = settings.allowed_senders
        self._trusted_proxies = settings.trusted_proxies

    def admit(self, head: Head) -> IncomingBody | Refused:
        """What is to be fed the body; or the refusal, for which no byte of the body is needed."""
        try:
            return self._admit(head)
        except Refused as refused:
            return refused

    def facts(self, headers: Mapping[str, str], connected: str | None) -> dict[str, str]:
        """Who sent a request that is refused, and what it says it is: for the log."""
        forwarded = headers.get("x-forwarded-for")
        peer = client_address(connected, [forwarded] if forwarded else [], self._trusted_proxies)
        return ({"address": str(peer)} if peer is not None else {}) | names_in(headers)

    def _admit(self, head: Head) -> IncomingBody:
        if head.method not in METHODS:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        source, path_token, item = self._source_at(head.path)
        if head.method != "POST" and not item:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        headers = head.headers
        self._require_allowed(source, head)
        length = _length_of(headers)
        if length is not None and length > source.body_limit:
            raise too_large(source)
        if path_token:
            headers = headers | {PATH_TOKEN: path_token}
        received_at = now()
        verification = source.verification(headers, self._secrets[source.name], received_at)
        if verification is None:
            reason = explain_refusal(source, headers, b"")
            raise Refused(HTTPStatus.UNAUTHORIZED, source=source.name, reason=reason)
        headers = head.headers | {PATH_ITEM: item} if item else head.headers
        given = _content_type_of(headers)
        if given not in source.content_types:
            wanted = f"Send {' or '.join(sorted(filter(None, source.content_types)))}."
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, wanted, source.name, content_type=given)
        return IncomingBody(source, headers, verification, received_at, length)

    def _source_at(self, path: str) -> tuple[Source[Any], str | None, str | None]:
        """The source of `/webhooks/<source>`, and the token if the path is `/webhooks/<source>/<token>`.

        Or the source whose own path it is (`Source.api_path`), and what follows that.
        """
        token: str | None = None
        item: str | None = None
        # As PEP 3333 encodes it. Several slashes at its beginning are one to Werkzeug, too.
        decoded = path.encode("latin-1").decode("utf-8", "replace")
        match f"/{decoded.lstrip('/')}".split("/"):
            case ["", "webhooks", name]:
                pass
            case ["", "webhooks", name, token] if token:
                pass
            case ["", *parts] if own := own_path(parts):
                name, item = own
            case _:
                raise Refused(HTTPStatus.NOT_FOUND)
        source = self._sources.get(name)
        if source is None or not self._secrets[name] or (token and not source.takes_token_in_path):
            raise Refused(HTTPStatus.NOT_FOUND)
        return source, token, item

    def _require_allowed(self, source: Source[Any], head: Head) -> None:
        if not self._allowed_senders:
            return
        forwarded = head.headers.get("x-forwarded-for")
        peer = client_address(head.peer, [forwarded] if forwarded else [], self._trusted_proxies)
        if not is_in(peer, self._allowed_senders):
            detail = "Webhooks are not taken from this address."
            raise Refused(HTTPStatus.FORBIDDEN, detail, source.name, address=str(peer))


def too_large(source: Source[Any]) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is over the {source.body_limit // MIB} MiB that {source.title} deliveries may have.",
        source.name,
    )


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """A request's headers with lower-case names."""
    headers = {
        name.removeprefix(FIELD).replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith(FIELD) and name not in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _content_type_of(headers: Mapping[str, str]) -> str:
    given = headers.get("content-type")
    return given if given == JSON else parse_options_header(given)[0].lower()


def _length_of(headers: Mapping[str, str]) -> int | None:
    """`None` if the body is chunked."""
    if "transfer-encoding" in headers:
        return None
    given = headers.get("content-length") or "0"
    return int(given[:MOST_DIGITS]) if given.isascii() and given.isdecimal() else 0
