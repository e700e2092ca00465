"""What every source is made of: checked access to payloads, and the `Source` that holds its functions.

A source is pure functions over headers, bytes and secrets. It does no I/O and knows nothing of Flask, Redis
or the Events API. A new sender is one such package and one line in `receiver.sources.SOURCES`.
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
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.events import Change, Delivery, Effect, marker_key
from receiver.sources.signatures import Verification
from receiver.timestamps import EARLIEST

Headers = Mapping[str, str]
"""Request headers with lower-case names."""

Secrets = Mapping[str, tuple[bytes, ...]]
"""Name of the configuration variable -> all secrets in it (several while one is being rotated)."""

MIB: Final = 1024 * 1024
VALUE_LIMIT: Final = 500
"""Characters kept of one text; enough for any URL or commit subject."""
LONGEST_DELIVERY_ID: Final = 200
BODY_START: Final = 1024
"""Bytes of a refused body that its source may look at."""
LONGEST_REFUSAL: Final = 300
"""Characters."""
PATH_TOKEN: Final = ":path-token"  # noqa: S105 - a header's name
"""The header that holds a token from the URL's path; no real header's name begins with a colon."""
PATH_ITEM: Final = ":path-item"
"""The header that holds what follows `Source.api_path` in the URL's path."""
MOST_CONTAINERS: Final = 300_000
"""Objects and lists of one JSON text. The largest that GitHub sends, 25 MiB of commits, has fewer; parsing so
many takes less than a second."""
MOST_VALUES: Final = 1_000_000
WEB_URL: Final = re.compile(r"https?://[^\s…]+")


class NotTranslated(Exception):
    """A delivery without changes; `reason` is for the person who reads the sender's delivery log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = one_line(reason, 300)


class Ignored(NotTranslated):
    """Nothing to do: another event, another state, or switched off in the configuration."""


class Untranslatable(NotTranslated):
    """It should have meant something but cannot be read; it goes to the quarantine."""


class SourceOptions(BaseModel):
    """A source's section of apitraffic.toml; sources extend it with settings of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[str, ...] | None = None
    """Shell patterns of the sender's event names to translate; by default the source's own list."""
    deployments: Literal["point", "span"] | None = None
    """Draw a deploy as a point at its end, or as a span; by default as [delivery] deployments says."""


OptionsT = TypeVar("OptionsT", bound=SourceOptions)


@dataclass(frozen=True, slots=True)
class Feature:
    """What one event of a sender becomes, for the table in the documentation, which the tests check.

    `when` is the sender's action or state. If it makes no marker, `effect` is `None`. `span_effect` is the
    effect if deploys are drawn as spans. `is_optional` events are off unless the configuration names them.
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
    """A delivery whose sender reads the response: it says what is wrong, and nothing is kept."""

    def __init__(self, errors: tuple[ItemError, ...]) -> None:
        super().__init__("; ".join(f"{error.field} {error.detail}" for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Translation:
    """What a delivery means, and for a list of events what is wrong with some of them."""

    changes: tuple[Change, ...]
    errors: tuple[ItemError, ...] = ()


@dataclass(frozen=True, slots=True)
class Source(Generic[OptionsT]):
    """One sender of webhooks.

    The source is on if at least one of its `secret_variables` is set. `verification` looks at the headers
    alone: `None` if they prove nothing, so that the body need not be read; otherwise what the body is then
    fed to. Its time is when the request was received, for senders that sign a time. `receive` makes a
    delivery of an authentic request. `translate` returns what it means, or raises `Ignored` or
    `Untranslatable`. `default_events` are shell patterns of the event names that are translated unless
    [<source>] events in apitraffic.toml says otherwise. With `takes_token_in_path`, what follows the source
    in the URL's path reaches `verification` as the header `PATH_TOKEN`.
    """

    name: str
    title: str
    secret_variables: tuple[str, ...]
    body_limit: int
    content_types: frozenset[str]
    options: type[OptionsT]
    default_events: tuple[str, ...]
    features: tuple[Feature, ...]
    verification: Callable[[Headers, Secrets, datetime], Verification | None]
    receive: Callable[[Headers, bytes, datetime], Delivery]
    translate: Callable[[Delivery, OptionsT], tuple[Change, ...] | Translation]
    takes_token_in_path: bool = False
    has_standard_keys: bool = False
    """Whether a secret that begins with `whsec_` stands for a key in base64, as Standard Webhooks has it."""
    answers_with_keys: bool = False
    """Whether the response lists the markers' keys, for senders that read it."""
    api_path: str | None = None
    """A second path, for senders whose own path is fixed. `receive` is given what follows it in the URL as
    the header `PATH_ITEM`; requests to change an item are accepted too."""
    answer: Callable[[Delivery], dict[str, JsonValue]] | None = None
    """What the response has besides; its status is then 200, which such senders want."""
    explain_refusal: Callable[[Headers, bytes], str] | None = None
    """Why `verify` may have refused a request, from its headers and the start of its body.

    For the log only, so in words of its own, without anything that was sent."""

    def verify(self, headers: Headers, body: bytes, secrets: Secrets, received_at: datetime) -> bool:
        """Whether a request that has arrived is authentic. Compares in constant time and never raises."""
        verification = self.verification(headers, secrets, received_at)
        if verification is None:
            return False
        verification.update(body)
        return verification.is_authentic()


def secret_variable_of(name: str) -> str:
    """The environment variable that turns a declared sender on."""
    return f"{name.upper().replace('-', '_')}_WEBHOOK_SECRET"


def explain_refusal(source: Source[Any], headers: Headers, body_start: bytes) -> str | None:
    """Why this source refused a request, on one bounded line for the log; `None` if it cannot tell."""
    if source.explain_refusal is None:
        return None
    return one_line(source.explain_refusal(headers, body_start[:BODY_START]), LONGEST_REFUSAL)


def translate(source: Source[Any], delivery: Delivery, options: SourceOptions) -> Translation:
    """What a delivery means: at least one change.

    Raises `Ignored` if there is nothing to do, `Untranslatable` if it should have meant something, and
    `Invalid` if the response should tell its sender what is wrong.
    """
    if delivery.event and not _is_wanted(source, delivery.event, options):
        raise Ignored(_why_unwanted(source, delivery.event))
    try:
        translation = source.translate(delivery, options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Untranslatable(f"the event made of it is not valid: {where}: {first['msg']}") from error
    return translation if isinstance(translation, Translation) else Translation(translation)


def _is_wanted(source: Source[Any], event: str, options: SourceOptions) -> bool:
    patterns = source.default_events if options.events is None else options.events
    return any(fnmatchcase(event, pattern) for pattern in patterns)


def _why_unwanted(source: Source[Any], event: str) -> str:
    rows = [feature for feature in source.features if fnmatchcase(event, feature.event)]
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
    is_indirect: bool = False,
    heard_at: datetime | None = None,
    lapses_after: timedelta | None = None,
    **event: Any,
) -> Change:
    """A change made by this delivery; `event` holds the fields of its `Event`, without `marker_metadata`."""
    name = marker_key(key)
    event["metadata"] = {**event.get("metadata", {}), **marker_metadata(name, delivery)}
    return Change(
        key=name,
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
        is_indirect=is_indirect,
        heard_at=heard_at,
        lapses_after=lapses_after,
        is_undated=occurred_at == delivery.received_at,
        delivery=delivery.reference(),
    )


def marker_metadata(key: str, delivery: Delivery) -> dict[str, JsonValue]:
    """The metadata that every event has: its marker's key and the id of its delivery."""
    return {"marker_key": key, "delivery_id": one_line(delivery.id, METADATA_TEXT_LIMIT)}


class Payload:
    """A JSON object from outside: every access says which type it expects, and never raises for another one.

    Paths are dotted, `payload.text("deployment.creator.login")`. Anything on the way that is missing, null or
    of another type reads as `None`.
    """

    def __init__(self, content: dict[str, JsonValue]) -> None:
        self.content = content
        self._lines: dict[str, str | None] = {}
        self._objects: dict[str, dict[str, JsonValue] | None] = {}

    @classmethod
    def from_json(cls, body: bytes | str) -> "Payload":
        """Raises `Untranslatable` for anything but a JSON object."""
        try:
            content = read_json(body)
        except TooManyValues as error:
            raise Untranslatable("the body is JSON with more values than are read") from error
        except (ValueError, RecursionError) as error:
            raise Untranslatable("the body is not JSON that can be read") from error
        if not isinstance(content, dict):
            raise Untranslatable("the body is JSON but not an object")
        return cls(content)

    @classmethod
    def of(cls, delivery: Delivery) -> "Payload":
        """The delivery's body, parsed unless it has been already. Raises `Untranslatable` likewise."""
        content = delivery.content
        return cls(content) if isinstance(content, dict) else cls.from_json(delivery.body)

    def value(self, path: str) -> JsonValue:
        where, dot, name = path.rpartition(".")
        holder = self._object_at(where) if dot else self.content
        return None if holder is None else holder.get(name)

    def _object_at(self, path: str) -> dict[str, JsonValue] | None:
        """The object at this path, which is looked for once."""
        if path not in self._objects:
            found = self.value(path)
            self._objects[path] = found if isinstance(found, dict) else None
        return self._objects[path]

    def text(self, *paths: str) -> str | None:
        """The first of these that is text and not blank, on one line. Each text is cleaned once."""
        lines = self._lines
        for path in paths:
            if path not in lines:
                found = self.value(path)
                lines[path] = one_line(found, VALUE_LIMIT) if isinstance(found, str) else None
            if line := lines[path]:
                return line
        return None

    def url(self, *paths: str) -> str | None:
        """The first of these that is an http or https URL; other schemes could run code when it is opened.

        A URL that contains a space or had to be cut does not work and is skipped.
        """
        for path in paths:
            url = self.text(path)
            if url and WEB_URL.fullmatch(url):
                return url
        return None

    def identifier(self, path: str) -> str | None:
        """An id as text, whether the sender writes it as a number or as text."""
        found = self.value(path)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found) if abs(found) < 10**30 else None
        return self.text(path)

    def flag(self, path: str) -> bool | None:
        found = self.value(path)
        return found if isinstance(found, bool) else None

    def time(self, *paths: str) -> datetime | None:
        """The first of these that is a time; Go's zero time, and whatever else lies before 2000, is none."""
        for path in paths:
            moment = parse_timestamp(self.value(path))
            if moment and moment >= EARLIEST:
                return moment
        return None

    def objects(self, path: str) -> Iterator["Payload"]:
        """The objects in the list at this path; other items are skipped."""
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


def object_in(body: bytes) -> dict[str, JsonValue] | None:
    """The JSON object in a body, for senders whose event is named there; `None` for any other body."""
    try:
        return Payload.from_json(body).content
    except Untranslatable:
        return None


class TooManyValues(ValueError):
    """JSON with more objects, lists or values than any sender writes."""


def read_json(body: bytes | str) -> JsonValue:
    """Pydantic's parser takes half the time; Python's also reads what that refuses, such as UTF-16.

    Raises `ValueError` if it is not JSON, `TooManyValues` before parsing, and `RecursionError` if it is
    nested too deeply. Brackets and commas inside texts are counted too. 18 MB of brackets would take seconds,
    and gigabytes of memory.
    """
    if len(body) > MOST_CONTAINERS and _has_too_many_values(body):
        raise TooManyValues
    try:
        return cast("JsonValue", from_json(body, cache_strings="keys"))
    except ValueError:
        return cast("JsonValue", json.loads(body))


def _has_too_many_values(body: bytes | str) -> bool:
    if isinstance(body, str):
        containers, values = body.count("[") + body.count("{"), body.count(",")
    else:
        containers, values = body.count(b"[") + body.count(b"{"), body.count(b",")
    return containers > MOST_CONTAINERS or values > MOST_VALUES


def delivery_id(given: str | None, body: bytes) -> str:
    """The sender's own id, or a digest of the body if it sends none or an unusable one."""
    if given and len(given) <= LONGEST_DELIVERY_ID and given.isascii() and given.isprintable():
        return given
    return f"sha256-{hashlib.sha256(body).hexdigest()}"


def present(**metadata: JsonValue) -> dict[str, JsonValue]:
    """Metadata without missing values."""
    return {key: value for key, value in metadata.items() if value not in (None, "")}
