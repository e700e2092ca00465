"""What each tool takes: pydantic models, out of which come the input schemas and the words about mistakes.

Field names are the Events API's own (`startedAt`), so that what a tool answers can be given to the next one.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from apitraffic_events.client import LARGEST_PAGE
from apitraffic_events.event import Description, Event, EventType
from apitraffic_events.records import EventUpdate
from apitraffic_events.timestamps import parse_timestamp
from receiver.timestamps import FORMS, read_moment

LONGEST_LOOK: Final = 7 * 24 * 60
"""Minutes."""

DESCRIPTIONS: Final = {
    "type": "deployment: releases, deploys, rollbacks. incident: outages, degradations, alerts. "
    "config_change: flags, variables, DNS. scale: instances, database upgrades. custom: the rest",
    "name": "What the chart shows; name the version, branch or ticket: Deploy acme/shop v2.3.1 to production",
    "description": "Text for people; for what has ended, how it ended",
    "source": "Where it comes from, always the same word for the same origin",
    "metadata": "What leads back to the cause: repository, commit, run_url; an update adds to what is there",
    "buckets": 'Names or SIDs of the APIs that show it; ["*"] is all',
    "environments": 'Names or SIDs of the environments that show it; ["*"] is all',
    "startedAt": f"When it began; of a new event now, where left out. {FORMS}",
    "endedAt": f"When it ended; left out for what has no length, such as a deploy. {FORMS}",
    "startedFrom": f"Only what started then or later. {FORMS}",
    "startedTo": f"Only what started then or earlier. {FORMS}",
    "bucket": "Only what this bucket, by name or SID, shows",
    "environment": "Only what this environment, by name or SID, shows",
    "limit": "How many at most",
    "page": "The first is 1; hasMore in the answer says whether there is another",
    "sid": "The event's SID, as list_events and what_changed give it",
    "reopen": "Take its end away, because it goes on after all",
    "resolution": "How it was resolved, in a sentence: Rolled back to v2.3.0",
    "around": f"When the charts jumped; now where left out. {FORMS}",
    "minutes": "How many minutes before and after that to look",
    "types": "Only these types",
}
"""Field name -> what an assistant is told of it; the same name means the same in every tool."""


def _read_moment(value: object) -> datetime:
    moment = read_moment(value) if isinstance(value, str) else parse_timestamp(value)
    if moment is None:
        raise ValueError(f"is not a time; write {FORMS}")
    return moment


Moment = Annotated[datetime, BeforeValidator(_read_moment), WithJsonSchema({"type": "string"})]


def _plain(value: object) -> object:
    """Some assistants write lists and objects as JSON in a string."""
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class Arguments(BaseModel):
    """What a call gives. A null is as good as nothing: assistants like to fill in every field."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        structured = {"metadata", "buckets", "environments", "types"}
        return {
            name: _plain(value) if name in structured else value
            for name, value in given.items()
            if value is not None
        }

    @classmethod
    def input_schema(cls) -> dict[str, Any]:
        """JSON Schema, each field with a description."""
        schema = cls.model_json_schema(by_alias=True)
        schema.pop("description", None)
        for name, field in schema.get("properties", {}).items():
            field["description"] = DESCRIPTIONS[name]
        return schema


class ListEvents(Arguments):
    type: EventType | None = None
    started_from: Moment | None = None
    started_to: Moment | None = None
    bucket: str | None = None
    environment: str | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 25
    page: Annotated[int, Field(ge=1)] = 1


class WhatChanged(Arguments):
    around: Moment | None = None
    minutes: Annotated[int, Field(ge=1, le=LONGEST_LOOK)] = 120
    types: tuple[EventType, ...] = ()
    bucket: str | None = None
    environment: str | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 20


class CreateEvent(Arguments, Event):
    source: str = "assistant"
    started_at: Moment | None = None
    ended_at: Moment | None = None


class OneEvent(Arguments):
    sid: Annotated[str, Field(min_length=1, max_length=100)]


class UpdateEvent(OneEvent, EventUpdate):
    started_at: Moment | None = None
    ended_at: Moment | None = None
    reopen: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.reopen and self.ended_at is not None:
            raise ValueError("reopen and endedAt contradict each other; give one of them")
        if not self.reopen and self.model_fields_set <= {"sid", "reopen"}:
            raise ValueError("no field to change was given; give at least one besides sid")
        return self


class CloseIncident(OneEvent):
    resolution: Annotated[Description, Field(min_length=1)]
    ended_at: Moment | None = None
