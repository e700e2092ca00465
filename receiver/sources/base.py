"""What every sender's module is made of: checked access to payloads, and the `Source` that ties it together.

A source module holds pure functions over headers, bytes and secrets. It does no I/O and knows nothing of
Flask, Redis or the Events API. A new sender is one such module and one line in `receiver.sources.SOURCES`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import from_json

from apitraffic_events.event import Event, EventType
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.events import Change, Delivery, DeliveryReference, Effect, marker_key

Headers = Mapping[str, str]
"""Request headers with lower-case names."""

Secrets = Mapping[str, tuple[bytes, ...]]
"""Name of the configuration variable -> all secrets it holds (several while one is being rotated)."""

MIB: Final = 1024 * 1024
VALUE_LIMIT: Final = 500
"""Characters kept of one metadata value; enough for any URL or commit subject that helps at night."""
LONGEST_DELIVERY_ID: Final = 200
PATH_TOKEN: Final = ":path-token"  # noqa: S105 - a header's name
"""Stands among a request's headers for a token in its path; no real header's name begins with a colon."""
WEB_URL: Final = re.compile(r"https?://[^\s…]+")


class NotTranslated(Exception):
    """A delivery that becomes no change; `reason` is for the person who reads the sender's delivery log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = one_line(reason, 300)


class Ignored(NotTranslated):
    """Nothing to do: another event, another state, or switched off."""


class Untranslatable(NotTranslated):
    """Something of interest that cannot be read; it is kept raw."""


class SourceOptions(BaseModel):
    """A source's section of apitraffic.toml; sources add their own settings to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[str, ...] | None = None
    """Shell patterns of the sender's event names to translate; where unset, the source's own list."""
    deployments: Literal["point", "span"] | None = None
    """Draw a deploy where it finished or from start to end; where unset, [delivery] deployments counts."""


OptionsT = TypeVar("OptionsT", bound=SourceOptions)


@dataclass(frozen=True, slots=True)
class Feature:
    """What one event of a sender becomes, for the table in the documentation, which the tests check.

    `when` is the sender's action or state. Where it makes no marker, `effect` is `None`. `span_effect` is
    what it does instead where deploys are drawn from start to end. `is_optional` events have to be asked for.
    """

    event: str
    when: str
    type: EventType | None = None
    effect: Effect | None = None
    span_effect: Effect | None = None
    is_optional: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class ItemError:
    """What is wrong with one event of a native delivery; `index` counts from 0."""

    index: int
    field: str
    detail: str


class Invalid(NotTranslated):
    """A delivery whose sender reads its answers: it is told what is wrong and nothing is kept."""

    def __init__(self, errors: tuple[ItemError, ...]) -> None:
        super().__init__("; ".join(f"{error.field} {error.detail}" for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Translation:
    """What a delivery means, and for senders of several events what was wrong with some of them."""

    changes: tuple[Change, ...]
    errors: tuple[ItemError, ...] = ()


@dataclass(frozen=True, slots=True)
class Source(Generic[OptionsT]):
    """One sender of webhooks.

    `secret_variables` names the configuration variables of which at least one must be set for the source to
    be on. `verify` compares in constant time and never raises; the time is that of receipt, for senders that
    sign one. `receive` makes a delivery of an authentic request; `translate` says what it means or raises
    `Ignored` or `Untranslatable`. `default_events` are the sender's names of events, as shell patterns, that
    are translated unless [<source>] events in apitraffic.toml says otherwise. With `takes_token_in_path`,
    what follows the source in the URL's path reaches `verify` as the header `PATH_TOKEN`.
    """

    name: str
    title: str
    secret_variables: tuple[str, ...]
    body_limit: int
    content_types: frozenset[str]
    options: type[OptionsT]
    default_events: tuple[str, ...]
    features: tuple[Feature, ...]
    verify: Callable[[Headers, bytes, Secrets, datetime], bool]
    receive: Callable[[Headers, bytes, datetime], Delivery]
    translate: Callable[[Delivery, OptionsT], tuple[Change, ...] | Translation]
    takes_token_in_path: bool = False
    tells_keys: bool = False
    """Whether an answer names the markers' keys, for senders that read their answers."""


def translate(source: Source[Any], delivery: Delivery, options: SourceOptions) -> Translation:
    """What a delivery means: its changes, at least one.

    Raises `Ignored` where there is nothing to do, `Untranslatable` where it should have meant something, and
    `Invalid` where its sender is to be told.
    """
    if delivery.event and not _is_wanted(source, delivery.event, options):
        raise Ignored(_why_unwanted(source, delivery.event))
    try:
        translation = source.translate(delivery, options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Untranslatable(f"the event made of it does not hold: {where}: {first['msg']}") from error
    return translation if isinstance(translation, Translation) else Translation(translation)


def _is_wanted(source: Source[Any], event: str, options: SourceOptions) -> bool:
    patterns = source.default_events if options.events is None else options.events
    return any(fnmatchcase(event, pattern) for pattern in patterns)


def _why_unwanted(source: Source[Any], event: str) -> str:
    rows = [feature for feature in source.features if feature.event == event]
    if any(feature.type for feature in rows):
        return f"{source.title} event {event!r} is off; name it in [{source.name}] events in apitraffic.toml"
    note = next((f" ({feature.note})" for feature in rows if feature.note), "")
    return f"{source.title} event {event!r} is not one that becomes a marker{note}"


def change_of(
    delivery: Delivery,
    *,
    key: str,
    effect: Effect,
    occurred_at: datetime,
    aliases: tuple[str, ...] = (),
    claims: tuple[str, ...] = (),
    former_keys: tuple[str, ...] = (),
    sequence: int = 0,
    sets: tuple[str, ...] | None = None,
    remark: str | None = None,
    lasted: timedelta | None = None,
    is_authoritative: bool = False,
    is_final: bool = False,
    **event: Any,
) -> Change:
    """A change by this delivery; `event` holds the fields of its `Event`, without the metadata all have."""
    event["metadata"] = {
        **event.get("metadata", {}),
        "marker_key": marker_key(key),
        "delivery_id": delivery.id,
    }
    return Change(
        key=key,
        aliases=aliases,
        claims=claims,
        former_keys=former_keys,
        effect=effect,
        occurred_at=occurred_at,
        sequence=sequence,
        event=Event(**event),
        sets=sets,
        remark=remark,
        lasted=lasted,
        is_authoritative=is_authoritative,
        is_final=is_final,
        delivery=DeliveryReference(source=delivery.source, id=delivery.id, event=delivery.event),
    )


class Payload:
    """A JSON object from a stranger: every access says what is expected and never raises for another type.

    Paths are dotted, `payload.text("deployment.creator.login")`; whatever is missing, null or of another
    type on the way reads as `None`.
    """

    def __init__(self, content: dict[str, JsonValue]) -> None:
        self._content = content

    @classmethod
    def from_json(cls, body: bytes | str) -> "Payload":
        """Raises `Untranslatable` for anything but a JSON object."""
        try:
            content = _read_json(body)
        except (ValueError, RecursionError) as error:
            raise Untranslatable("the body is not JSON that can be read") from error
        if not isinstance(content, dict):
            raise Untranslatable("the body is JSON but not an object")
        return cls(content)

    def value(self, path: str) -> JsonValue:
        found: object = self._content
        for part in path.split("."):
            if not isinstance(found, dict):
                return None
            found = found.get(part)
        return cast("JsonValue", found)

    def text(self, *paths: str) -> str | None:
        """The first of these that is text with something in it, on one line."""
        for path in paths:
            found = self.value(path)
            if isinstance(found, str) and (line := one_line(found, VALUE_LIMIT)):
                return line
        return None

    def url(self, *paths: str) -> str | None:
        """The first of these that is an http or https URL; other schemes could run code where it is shown.

        One with a space in it, or that had to be cut, leads nowhere and counts as none.
        """
        candidates = (self.text(path) for path in paths)
        return next((url for url in candidates if url and WEB_URL.fullmatch(url)), None)

    def identifier(self, path: str) -> str | None:
        """An id as text, whether the sender writes a number or text."""
        found = self.value(path)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found) if abs(found) < 10**30 else None
        return self.text(path)

    def flag(self, path: str) -> bool | None:
        found = self.value(path)
        return found if isinstance(found, bool) else None

    def time(self, *paths: str) -> datetime | None:
        times = (parse_timestamp(self.value(path)) for path in paths)
        return next((moment for moment in times if moment), None)

    def objects(self, path: str) -> Iterator["Payload"]:
        """The objects in the list at this path; what else is in it is left out."""
        found = self.value(path)
        for item in found if isinstance(found, list) else ():
            if isinstance(item, dict):
                yield Payload(item)

    def texts(self, path: str) -> tuple[str, ...]:
        """The non-empty texts in the list at this path."""
        found = self.value(path)
        items = found if isinstance(found, list) else ()
        lines = (one_line(item, VALUE_LIMIT) for item in items if isinstance(item, str))
        return tuple(line for line in lines if line)

    def require_text(self, path: str) -> str:
        return self._required(path, self.text(path))

    def require_identifier(self, path: str) -> str:
        return self._required(path, self.identifier(path))

    @staticmethod
    def _required(path: str, found: str | None) -> str:
        if found is None:
            raise Untranslatable(f"{path} is missing from the payload")
        return found


def _read_json(body: bytes | str) -> JsonValue:
    """Python's parser takes twice the time and reads what pydantic's refuses, such as UTF-16."""
    try:
        return cast("JsonValue", from_json(body))
    except ValueError:
        return cast("JsonValue", json.loads(body))


def delivery_id(given: str | None, body: bytes) -> str:
    """The sender's own id, or a digest of the body where it has none (or none that is sane)."""
    if given and len(given) <= LONGEST_DELIVERY_ID and given.isascii() and given.isprintable():
        return given
    return f"sha256-{hashlib.sha256(body).hexdigest()}"


def present(**metadata: JsonValue) -> dict[str, JsonValue]:
    """Metadata without what is missing."""
    return {key: value for key, value in metadata.items() if value not in (None, "")}
