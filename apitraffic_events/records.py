"""Models of what the Events API stores and of updates to it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from apitraffic_events.event import Description, Event, Instant, Name, Scope


class Record(BaseModel):
    """A resource of the API. Unknown fields are ignored, and most fields are optional."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    sid: str
    name: str = ""
    created_at: Instant | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: object) -> object:
        """A null in place of a list or object in one record must not make a whole page unreadable."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


class StoredEvent(Record):
    """An event as the API returns it. `type` is text, because the API may add types."""

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
        """The event as it was created; raises `pydantic.ValidationError` if its type is unknown here."""
        return Event.model_validate(self.model_dump(include=set(Event.model_fields)))


class Bucket(Record):
    """An API or service whose traffic is charted."""


class Environment(Record):
    """An environment whose traffic is charted."""


class EventUpdate(BaseModel):
    """Fields of an event to change. Only fields that are given are sent; `ended_at=None` removes the end."""

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
