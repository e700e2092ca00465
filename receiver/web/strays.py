"""Requests that reach no source: what their sender probably meant, for the log. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final

from receiver.sources import SOURCES
from receiver.sources.refusals import looks_like
from receiver.sources.request import Headers
from receiver.sources.source import Source
from receiver.web.paths import right_path

WEBHOOKS: Final = "webhooks"
METHODS: Final = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
LIKENESS: Final = 0.7
"""As difflib measures it: `gihub` is github, and `events2` is not jenkins."""


@dataclass(frozen=True, slots=True)
class Stray:
    """`event` is that of the log line. Its fields are words of ours: there may be a token in the path."""

    event: str
    fields: dict[str, str | int]

    @property
    def kind(self) -> str:
        return " ".join(map(str, self.fields.values()))


def explain(
    status: HTTPStatus,
    method: str,
    path: str,
    headers: Headers,
    sources: Mapping[str, Source[Any]] = SOURCES,
) -> Stray | None:
    """The log line for a request that was answered with 404 or 405; `None` if it was not for us."""
    named = _parts(path)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return _wrong_method(method, named, sources)
    return _wrong_path(path, named, headers, sources) if status is HTTPStatus.NOT_FOUND else None


def _wrong_path(
    path: str, named: list[str] | None, headers: Headers, sources: Mapping[str, Source[Any]]
) -> Stray | None:
    if right := right_path(path, sources):
        return _no_such_path(right)
    if named and named[0] in sources:
        return _unavailable(named, sources[named[0]])
    if named and (close := get_close_matches(named[0].lower(), sources, n=1, cutoff=LIKENESS)):
        return _no_such_path(f"/webhooks/{close[0]}")
    if sender := looks_like(headers):
        title, name = sender
        return _no_such_path(f"/webhooks/{name}", reason=f"this looks like a delivery from {title}")
    return _no_such_path("/webhooks/<source>") if named is not None else None


def _parts(path: str) -> list[str] | None:
    """What follows `/webhooks/`; `None` if the path does not begin so."""
    parts = path.lstrip("/").split("/", 3)
    return parts[1:] if parts[0] == WEBHOOKS else None


def _wrong_method(method: str, named: list[str] | None, sources: Mapping[str, Source[Any]]) -> Stray | None:
    if named is None:
        return None
    status: dict[str, str | int] = {"status": HTTPStatus.METHOD_NOT_ALLOWED.value}
    source = {"source": named[0]} if named and named[0] in sources else {}
    known = {"method": method} if method in METHODS else {}
    return Stray("refused", source | status | known | {"reason": "webhooks are sent with POST"})


def _unavailable(named: list[str], source: Source[Any]) -> Stray:
    name, *rest = named
    if rest and not source.takes_token_in_path:
        reason = f"{name} takes nothing after its name: send it to /webhooks/{name}"
    else:
        reason = f"{name} is off: set {' or '.join(source.secret_variables)}"
    return Stray("refused", {"source": name, "status": HTTPStatus.NOT_FOUND.value, "reason": reason})


def _no_such_path(right: str, **fields: str) -> Stray:
    return Stray("no such path", {"status": HTTPStatus.NOT_FOUND.value, "right_path": right, **fields})
