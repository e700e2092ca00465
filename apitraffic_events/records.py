"""Models of what the Events API stores and of updates to it."""

from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from apitraffic_events.event import (
    ALREADY_CLEAN,
    SCOPE_LIMIT,
    Description,
    Event,
    EventType,
    Instant,
    Name,
    Scope,
)
from apitraffic_events.text import METADATA_TEXT_LIMIT, NAME_LIMIT, one_line, paragraphs
from apitraffic_events.timestamps import parse_timestamp

NO_NAME: Final = "(no name)"
"""Stands for a name that is blank in the API."""


def _or(kind: type, stand_in: Any) -> BeforeValidator:
    """Takes a value of another type for missing: one odd field must not make a whole list unreadable."""
    return BeforeValidator(lambda value: value if isinstance(value, kind) else stand_in)


def _sids(value: object) -> object:
    items = value if isinstance(value, list | tuple) else ()
    return tuple(item for item in items if isinstance(item, str) and item) or ("*",)


def _readable(value: object) -> object:
    """JSON may hold lone surrogates, which UTF-8 does not."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


LenientText = Annotated[str, _or(str, ""), BeforeValidator(_readable)]
LenientLine = Annotated[str | None, _or(str, None), BeforeValidator(_readable)]
LenientTime = Annotated[Instant | None, BeforeValidator(parse_timestamp)]
LenientSids = Annotated[tuple[str, ...], BeforeValidator(_sids)]


class Record(BaseModel):
    """A resource of the API. Unknown fields are ignored, and so are fields of another type than expected:
    only `sid` has to be there.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    sid: str = Field(min_length=1)
    name: LenientText = ""
    created_at: LenientTime = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: object) -> object:
        """A null in place of a list or object in one record must not make a whole page unreadable."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


class StoredEvent(Record):
    """An event as the API returns it. `type` is text, because the API may add types."""

    type: LenientText = ""
    account_sid: LenientLine = None
    updated_at: LenientTime = None
    description: LenientLine = None
    source: LenientLine = None
    metadata: Annotated[dict[str, JsonValue], _or(dict, {})] = Field(default_factory=dict)
    buckets: LenientSids = ("*",)
    environments: LenientSids = ("*",)
    started_at: LenientTime = None
    ended_at: LenientTime = None

    def as_event(self) -> Event:
        """The event as it was created.

        The API may hold what `Event` refuses: more metadata, a blank name, a type that is unknown here. This
        is kept if possible; a blank name becomes `NO_NAME` and an unknown type `custom`.
        """
        fields = self.model_dump(include=set(Event.model_fields))
        try:
            return Event.model_validate(fields)
        except ValidationError:
            return Event.model_validate(fields | self._made_to_fit(), context=ALREADY_CLEAN)

    def _made_to_fit(self) -> dict[str, Any]:
        scopes = {"buckets": self.buckets, "environments": self.environments}
        return {
            "type": self.type if self.type in set(EventType) else EventType.CUSTOM,
            "name": one_line(self.name, NAME_LIMIT) or NO_NAME,
            "description": paragraphs(self.description) if self.description is not None else None,
            "source": one_line(self.source, METADATA_TEXT_LIMIT) if self.source is not None else None,
        } | {
            name: tuple(sid for sid in sids if len(sid) <= METADATA_TEXT_LIMIT)[:SCOPE_LIMIT]
            for name, sids in scopes.items()
        }


class Bucket(Record):
    """An API or service whose traffic is charted."""


class Environment(Record):
    """An environment whose traffic is charted."""


class ApiToken(Record):
    """A token of the account, without its value."""

    expires_at: LenientTime = None


class EventUpdate(BaseModel):
    """Fields of an event to change. Only fields that are given are sent; `ended_at=None` removes the end."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    type: EventType | None = None
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
    """One page of a list of events.

    `is_worth_repeating` says that the API has ignored a filter, and that there is another spelling of it: the
    same page, asked for again, may be another one.
    """

    records: tuple[StoredEvent, ...]
    has_more: bool
    is_worth_repeating: bool = False
