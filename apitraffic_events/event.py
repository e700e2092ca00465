"""An event as the Events API takes it, checked and bounded.

Its field names in JSON are those of the Events API (`startedAt`).
"""

import math
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
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from apitraffic_events.text import METADATA_TEXT_LIMIT, NAME_LIMIT, is_clean_line, one_line, paragraphs
from apitraffic_events.timestamps import format_timestamp, parse_timestamp

METADATA_KEYS: Final = 100
METADATA_DEPTH: Final = 4
METADATA_SIZE: Final = 16_384
"""Characters of metadata written as JSON."""
SCOPE_LIMIT: Final = 100
LARGEST_INT: Final = 2**63
LONGEST_NUMBER: Final = 30
"""Characters, with what is around it in JSON."""
EVERYWHERE: Final = ("*",)

ALREADY_CLEAN: Final = {"is_clean": True}
"""Validation context for JSON that was written from these models: `model_validate_json(text, context=…)` then
checks types, but neither cleans text nor measures metadata again. Not for what anybody else wrote."""


class EventType(StrEnum):
    """The Events API's types of events."""

    DEPLOYMENT = "deployment"
    INCIDENT = "incident"
    CONFIG_CHANGE = "config_change"
    SCALE = "scale"
    CUSTOM = "custom"


def is_clean(info: ValidationInfo) -> bool:
    """Whether the context is `ALREADY_CLEAN`."""
    return info.context is not None and bool(info.context.get("is_clean"))


def line_of(limit: int) -> Callable[[object, ValidationInfo], object]:
    # Before pydantic's own check, which refuses the lone surrogates that senders' JSON may hold.
    def clean(value: object, info: ValidationInfo) -> object:
        return _line(value, limit) if isinstance(value, str) and not is_clean(info) else value

    return clean


def _line(text: str, limit: int) -> str:
    return text if is_clean_line(text, limit) else one_line(text, limit)


def _as_paragraphs(value: object, info: ValidationInfo) -> object:
    return paragraphs(value) if isinstance(value, str) and not is_clean(info) else value


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
Name = Annotated[str, BeforeValidator(line_of(NAME_LIMIT))]
Description = Annotated[str, BeforeValidator(_as_paragraphs)]
Scope = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=METADATA_TEXT_LIMIT)], ...],
    Field(max_length=SCOPE_LIMIT),
    AfterValidator(_bounded_scope),
]
"""The buckets or environments that an event belongs to, as SIDs or names; `("*",)` means all."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Model):
    """One event in the Events API's own fields, made safe and bounded.

    A name or description that is too long is cut, an end before the start becomes the start, and empty
    metadata is dropped. Anything else (no name, an unknown type, metadata over its size or depth) raises
    `pydantic.ValidationError`.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    type: EventType
    name: Name
    description: Description | None = None
    source: Annotated[str, BeforeValidator(line_of(METADATA_TEXT_LIMIT))] | None = None
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

    @field_validator("metadata", mode="wrap")
    @classmethod
    def _tidied(
        cls, metadata: object, checked: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> dict[str, JsonValue]:
        if not is_clean(info):
            plain = _tidied_if_plain(metadata)
            if plain is not None:
                return plain
            metadata = _tidy(metadata, depth=0)
        valid: dict[str, JsonValue] = checked(metadata)
        if is_clean(info):
            return valid
        return within_limits({key: value for key, value in valid.items() if not _is_empty(value)})

    @model_validator(mode="after")
    def _end_not_before_start(self) -> Self:
        if self.started_at and self.ended_at and self.ended_at < self.started_at:
            object.__setattr__(self, "ended_at", self.started_at)
        return self

    def to_api(self) -> dict[str, Any]:
        """The body of a create request: camelCase names, times as `2026-01-10T10:05:00.000Z`, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def with_scope(self, buckets: tuple[str, ...] | None, environments: tuple[str, ...] | None) -> Self:
        """The same event with these buckets and environments; `None` keeps the present ones."""
        scope = {"buckets": buckets, "environments": environments}
        return self.model_copy(update={key: value for key, value in scope.items() if value is not None})


def within_limits(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The same metadata, tidied before; raises `ValueError` if it has too many keys or is too large."""
    if len(metadata) > METADATA_KEYS:
        raise ValueError(f"has {len(metadata)} keys; at most {METADATA_KEYS} are kept")
    size = _length_as_json(metadata)
    if size > METADATA_SIZE:
        raise ValueError(f"is {size} characters long as JSON; at most {METADATA_SIZE} are kept")
    return metadata


def _is_empty(value: JsonValue) -> bool:
    return value is None or value in ("", [], {})


def _tidied_if_plain(metadata: object) -> dict[str, JsonValue] | None:
    """What the long way makes of plain names and single values, which are all that our sources give.

    `None` for everything else, and if only the long way can say whether it is within the limits.
    """
    if not isinstance(metadata, dict) or len(metadata) > METADATA_KEYS:
        return None
    tidied: dict[str, JsonValue] = {}
    most = 0
    for key, value in metadata.items():
        if not isinstance(key, str) or _tidy_key(key) is not key:
            return None
        most += len(key) + LONGEST_NUMBER
        if isinstance(value, str):
            # Of the exact type, of which pydantic writes JSON faster.
            if line := str(_line(value, METADATA_TEXT_LIMIT)):
                tidied[key] = line
                most += 2 * len(line)
        elif isinstance(value, bool) or (type(value) is int and abs(value) < LARGEST_INT):
            tidied[key] = value
        elif value is not None:
            return None
    return tidied if most <= METADATA_SIZE else None


def _tidy(value: object, depth: int) -> object:
    if depth > METADATA_DEPTH:
        raise ValueError(f"is nested deeper than {METADATA_DEPTH} levels")
    if isinstance(value, str):
        return _line(value, METADATA_TEXT_LIMIT)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_tidy_key(key): _tidy(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item, depth + 1) for item in value]
    return value


def _tidy_key(key: object) -> object:
    if not isinstance(key, str):
        return key
    is_plain_name = key.isascii() and key.isidentifier() and len(key) <= METADATA_TEXT_LIMIT
    return key if is_plain_name else _line(key, METADATA_TEXT_LIMIT)


def _length_as_json(value: JsonValue) -> int:
    """`len(json.dumps(value, ensure_ascii=False))` for tidied metadata, without writing it."""
    match value:
        case str():
            return 2 + len(value) + value.count('"') + value.count("\\")
        case None | True:
            return 4
        case False:
            return 5
        case dict():
            lengths = (_length_as_json(key) + 2 + _length_as_json(item) for key, item in value.items())
            return 2 + sum(lengths) + 2 * max(0, len(value) - 1)
        case list():
            return 2 + sum(map(_length_as_json, value)) + 2 * max(0, len(value) - 1)
        case _:
            return len(repr(value))
