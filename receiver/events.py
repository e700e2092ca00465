"""The normalised model that every part speaks: a delivery comes in, changes come out, each to one event.

An event's field names in JSON are those of the Events API (`startedAt`), everything else is `snake_case`.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from receiver.timestamps import format_timestamp, parse_timestamp

NAME_LIMIT: Final = 200
DESCRIPTION_LIMIT: Final = 2_000
REMARK_LIMIT: Final = 300
KEY_LIMIT: Final = 300
METADATA_TEXT_LIMIT: Final = 1_000
METADATA_KEYS: Final = 100
METADATA_DEPTH: Final = 4
METADATA_SIZE: Final = 16_384
"""Characters of metadata written as JSON."""
SCOPE_LIMIT: Final = 100
EVERYWHERE: Final = ("*",)

INVISIBLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+"
)
"""What must not reach a chart, a log line or a terminal: control characters, line and paragraph separators,
marks that turn the direction of text, spaces of no width, and halves of surrogate pairs (JSON may hold them,
UTF-8 may not). Joiners stay: emoji and several scripts are written with them."""


class EventType(StrEnum):
    """What the Events API draws; the reference says what each is for."""

    DEPLOYMENT = "deployment"
    INCIDENT = "incident"
    CONFIG_CHANGE = "config_change"
    SCALE = "scale"
    CUSTOM = "custom"


class Effect(StrEnum):
    """What a change does to its marker."""

    POINT = "point"
    """Create it; it has no end."""
    OPEN = "open"
    """Create it; it has no end yet."""
    UPDATE = "update"
    """Change fields of an existing one."""
    CLOSE = "close"
    """Set its end and outcome; create it complete if it was never opened."""
    REOPEN = "reopen"
    """Clear its end."""


def one_line(text: str, limit: int) -> str:
    """Make text safe and short: invisible characters become spaces, too long is cut at a word with `…`."""
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip():
        return text
    line = " ".join(INVISIBLE.sub(" ", text[: limit * 4]).split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    at_word = cut.rpartition(" ")[0] if line[limit - 1] != " " else cut
    return (at_word if len(at_word) > limit // 2 else cut).rstrip(" ,;:-(") + "…"


def marker_key(text: str) -> str:
    """A marker's key, on one line; one that is too long ends in a digest, so that no two become the same."""
    line = " ".join(INVISIBLE.sub(" ", text).split())
    if len(line) <= KEY_LIMIT:
        return line
    digest = hashlib.sha256(line.encode()).hexdigest()[:32]
    return f"{line[: KEY_LIMIT - len(digest) - 1]}~{digest}"


def paragraphs(text: str) -> str:
    """As `one_line`, for text that keeps its line breaks; at most `DESCRIPTION_LIMIT` characters."""
    lines = text[: DESCRIPTION_LIMIT * 4].splitlines()
    joined = "\n".join(" ".join(INVISIBLE.sub(" ", line).split()) for line in lines).strip()
    return joined if len(joined) <= DESCRIPTION_LIMIT else joined[: DESCRIPTION_LIMIT - 1].rstrip() + "…"


def _line_of(limit: int) -> Callable[[object], object]:
    # Before pydantic's own check, which refuses the lone surrogates that senders' JSON may hold.
    return lambda value: one_line(value, limit) if isinstance(value, str) else value


def _as_paragraphs(value: object) -> object:
    return paragraphs(value) if isinstance(value, str) else value


def _as_key(value: object) -> object:
    return marker_key(value) if isinstance(value, str) else value


def _read_time(value: object) -> datetime | None:
    if value is None:
        return None
    moment = parse_timestamp(value)
    if moment is None:
        raise ValueError("is not a time; write it as ISO 8601, for example 2026-01-10T10:05:00.000Z")
    return moment


def _bounded_scope(scope: tuple[str, ...]) -> tuple[str, ...]:
    return scope or EVERYWHERE


Instant = Annotated[datetime, BeforeValidator(_read_time), PlainSerializer(format_timestamp)]
Name = Annotated[str, BeforeValidator(_line_of(NAME_LIMIT))]
Key = Annotated[str, BeforeValidator(_as_key), Field(min_length=1)]
Remark = Annotated[str, BeforeValidator(_line_of(REMARK_LIMIT))]
Description = Annotated[str, BeforeValidator(_as_paragraphs)]
Scope = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=METADATA_TEXT_LIMIT)], ...],
    Field(max_length=SCOPE_LIMIT),
    AfterValidator(_bounded_scope),
]
"""Which buckets or environments an event belongs to: SIDs or names; `("*",)` is all of them."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Model):
    """One event in the Events API's own fields (reference/events-api.md), within the limits it is sent with.

    Too long a name or description is cut, an end before the start is clamped to it, empty metadata is left
    out; what cannot be mended (no name, an unknown type, metadata over its size or depth) raises
    `pydantic.ValidationError`.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    type: EventType
    name: Name
    description: Description | None = None
    source: Annotated[str, BeforeValidator(_line_of(METADATA_TEXT_LIMIT))] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    buckets: Scope = EVERYWHERE
    environments: Scope = EVERYWHERE
    started_at: Instant | None = None
    ended_at: Instant | None = None

    @field_validator("name", mode="after")
    @classmethod
    def _has_something_to_show(cls, name: str) -> str:
        if not name:
            raise ValueError("is empty; say what happened, like 'Deploy acme/shop v2.3.1 to production'")
        return name

    @field_validator("metadata", mode="before")
    @classmethod
    def _tidied(cls, metadata: object) -> object:
        return _tidy(metadata, depth=0)

    @field_validator("metadata", mode="after")
    @classmethod
    def _within_limits(cls, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
        kept = {key: value for key, value in metadata.items() if not _is_empty(value)}
        if len(kept) > METADATA_KEYS:
            raise ValueError(f"has {len(kept)} keys; at most {METADATA_KEYS} are kept")
        size = len(json.dumps(kept, ensure_ascii=False))
        if size > METADATA_SIZE:
            raise ValueError(f"is {size} characters long as JSON; at most {METADATA_SIZE} are kept")
        return kept

    @model_validator(mode="after")
    def _end_not_before_start(self) -> Self:
        if self.started_at and self.ended_at and self.ended_at < self.started_at:
            object.__setattr__(self, "ended_at", self.started_at)
        return self

    def to_api(self) -> dict[str, Any]:
        """The body of a create request: camelCase names, times as `2026-01-10T10:05:00.000Z`, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def with_scope(self, buckets: tuple[str, ...] | None, environments: tuple[str, ...] | None) -> Self:
        """The same event with these buckets and environments; `None` leaves what is there."""
        scope = {"buckets": buckets, "environments": environments}
        return self.model_copy(update={key: value for key, value in scope.items() if value is not None})


def _is_empty(value: JsonValue) -> bool:
    return value is None or value in ("", [], {})


def _tidy(value: object, depth: int) -> object:
    if depth > METADATA_DEPTH:
        raise ValueError(f"is nested deeper than {METADATA_DEPTH} levels")
    if isinstance(value, str):
        return one_line(value, METADATA_TEXT_LIMIT)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {
            one_line(key, METADATA_TEXT_LIMIT) if isinstance(key, str) else key: _tidy(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_tidy(item, depth + 1) for item in value]
    return value


class Delivery(Model):
    """One HTTP request from a sender, authentic and unread.

    `id` is the sender's own delivery id, or a digest of the body where it has none; `event` is the sender's
    own name for what happened; header names are lower-case.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    source: str
    id: str
    event: str
    headers: dict[str, str] = Field(repr=False)
    body: bytes = Field(repr=False)
    received_at: Instant


class DeliveryReference(Model):
    """Where a change came from."""

    source: str
    id: str
    event: str


class Change(Model):
    """What a delivery means for one marker.

    `key` says which marker, `occurred_at` when it happened by the sender's clock. `event` is what the marker
    should show afterwards; its `metadata` is added to what is there. Where the sender does not know all of
    it, `sets` names the fields that count. `remark` is a line for the trail below the description. `aliases`
    are further keys by which others may speak of the same marker: a deployment has an id at the sender, and
    the run of a pipeline that made it.
    """

    key: Key
    aliases: tuple[Key, ...] = ()
    effect: Effect
    occurred_at: Instant
    event: Event
    sets: tuple[str, ...] | None = None
    remark: Remark | None = None
    delivery: DeliveryReference

    @property
    def names(self) -> tuple[str, ...]:
        """All keys of its marker, its own first."""
        return tuple(dict.fromkeys((self.key, *self.aliases)))
