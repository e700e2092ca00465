"""What the Events API stores and what it is asked to change, as Python objects."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from apitraffic_events.event import Description, Event, Instant, Name, Scope


class Record(BaseModel):
    """Something the API stores; fields it may add later are ignored, fields it may leave out are optional."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    sid: str
    name: str = ""
    created_at: Instant | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: object) -> object:
        """One record with a null where a list or an object was expected must not spoil a whole page."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


class StoredEvent(Record):
    """An event as the API lists it. `type` is text: the API may know types that this version does not."""

    type: str
    account_sid: str | None = None
    updated_at: Instant | None = None
    description: str | None = None
    source: str | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    buckets: tuple[str, ...] = ("*",)
    environments: tuple[str, ...] = ("*",)
    started_at: Instant | None = None
    ended_at: Instant | None = None

    def as_event(self) -> Event:
        """What was sent to create it; raises `pydantic.ValidationError` for an event that is not ours."""
        return Event.model_validate(self.model_dump(include=set(Event.model_fields)))


class Bucket(Record):
    """A service whose traffic is charted."""


class Environment(Record):
    """An environment whose traffic is charted."""


class EventUpdate(BaseModel):
    """The fields of an event to change: only those given are sent, `ended_at=None` clears the end."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    name: Name | None = None
    description: Description | None = None
    source: str | None = None
    metadata: dict[str, JsonValue] | None = None
    buckets: Scope | None = None
    environments: Scope | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None

    def to_api(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class EventPage(BaseModel):
    """One page of a list of events."""

    records: tuple[StoredEvent, ...]
    has_more: bool
