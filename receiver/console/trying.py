"""What a payload would become, and with which routes: nothing is sent and nothing is kept."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from apitraffic_events.timestamps import now
from receiver.config.settings import Settings
from receiver.events import Change, Delivery
from receiver.routing import Route, explain, route
from receiver.sources.not_translated import Ignored, Invalid, NotTranslated
from receiver.sources.sending import sender_of
from receiver.sources.source import Source, translate

ROUTES: Final = TypeAdapter(tuple[Route, ...])
MOST_SHOWN: Final = 20
"""Changes of one delivery."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the marker, with the routes in force and with those that were typed in."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Try:
    """One change. `shown` is it as its routes want it, `None` if they skip it."""

    change: Change
    shown: Change | None
    verdicts: Sequence[str]
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class TryResult:
    """What became of the whole payload. `reason` says why there is no change."""

    status: str
    reason: str = ""
    tries: Sequence[Try] = ()
    routes_problem: str = ""


class RoutesInvalid(Exception):
    """The routes that were typed in cannot be used; the message says why."""


def read_routes(text: str) -> tuple[Route, ...]:
    """Routes as they stand in apitraffic.toml; raises `RoutesInvalid`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RoutesInvalid(f"This is not valid TOML: {error}") from None
    if other := set(content) - {"route"}:
        raise RoutesInvalid(f"Only [[route]] counts here, and not {', '.join(sorted(other))}.")
    try:
        return ROUTES.validate_python(content.get("route", []))
    except ValidationError as error:
        lines = []
        for one in error.errors():
            number, *path = one["loc"] or (0,)
            where = ".".join(map(str, path)) or "it"
            place = f"route {int(number) + 1}" if isinstance(number, int) else str(number)
            message = str(one["msg"]).removeprefix("Value error, ")
            if one["type"] == "extra_forbidden":
                message = "is not a setting of a route"
            lines.append(f"{place}: {where} {message}")
        raise RoutesInvalid(f"{'; '.join(lines)}.") from None


def delivery_of(source: Source[Any], event: str, body: bytes) -> Delivery:
    """The delivery as its sender would have made it."""
    headers = sender_of(source).headers("", event, body, "")
    lower = {name.lower(): value for name, value in headers.items() if value}
    return source.receive(lower, body, now())


def try_out(settings: Settings, delivery: Delivery, edited: str | None) -> TryResult:
    """What the delivery would become. `edited` are routes in TOML to compare with those in force."""
    routes, routes_problem = settings.route, ""
    if edited is not None:
        try:
            routes = read_routes(edited)
        except RoutesInvalid as problem:
            routes_problem = str(problem)
    source = settings.senders[delivery.source]
    try:
        translation = translate(source, delivery, settings.options_for(source))
    except Invalid as invalid:
        return TryResult("refused", invalid.reason, routes_problem=routes_problem)
    except NotTranslated as failure:
        status = "ignored" if isinstance(failure, Ignored) else "quarantined"
        return TryResult(status, failure.reason, routes_problem=routes_problem)
    tries = [_try(change, settings.route, routes) for change in translation.changes[:MOST_SHOWN]]
    if all(one.shown is None for one in tries):
        return TryResult("ignored", "A route says to skip it.", tries, routes_problem)
    reason = "; ".join(f"event {error.index}: {error.field} {error.detail}" for error in translation.errors)
    return TryResult("accepted", reason, tries, routes_problem)


def _try(change: Change, in_force: Sequence[Route], routes: Sequence[Route]) -> Try:
    before, after = route(change, in_force), route(change, routes)
    return Try(change, after, tuple(explain(change, routes)), tuple(_differences(before, after)))


def _differences(before: Change | None, after: Change | None) -> list[Difference]:
    if before is None or after is None:
        if before is after:
            return []
        return [Difference("shown", "yes" if before else "skipped", "yes" if after else "skipped")]
    one, other = _fields(before), _fields(after)
    return [
        Difference(name, one.get(name, ""), other.get(name, ""))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    ]


def _fields(change: Change) -> Mapping[str, str]:
    event: dict[str, Any] = change.event.to_api()
    metadata = event.pop("metadata", {})
    flat = event | {f"metadata.{name}": value for name, value in metadata.items()}
    return {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in flat.items()}
