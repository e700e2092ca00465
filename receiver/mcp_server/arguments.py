"""The arguments of each tool: pydantic models, which give the input schemas and the messages about mistakes.

Field names are the Events API's (`startedAt`), so that the result of one tool can be passed to the next.
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
from receiver.routing import LONGEST_VERDICT
from receiver.timestamps import FORMS, read_moment

LONGEST_LOOK: Final = 7 * 24 * 60
"""Minutes."""
LONGEST_NAME: Final = 1_000
"""Characters of a marker's key."""

DESCRIPTIONS: Final = {
    "type": "deployment: releases, deploys, rollbacks. incident: outages, degradations, alerts. "
    "config_change: flags, variables, DNS. scale: instances, database upgrades. custom: the rest",
    "name": "What the chart shows; name the version, branch or ticket: Deploy acme/shop v2.3.1 to production",
    "description": "Text for people; for something that has ended, how it ended",
    "source": "Where it comes from; always the same word for the same origin",
    "metadata": "What leads back to the cause: repository, commit, run_url. An update adds to it; an empty "
    "value removes a name",
    "buckets": 'Names or SIDs of the APIs on whose charts it is shown; ["*"] means all',
    "environments": 'Names or SIDs of the environments on whose charts it is shown; ["*"] means all',
    "startedAt": f"When it began; a new event begins now by default. {FORMS}",
    "endedAt": f"When it ended; leave it out for something without a duration, such as a deploy. {FORMS}",
    "startedFrom": f"Only events that started then or later. {FORMS}",
    "startedTo": f"Only events that started then or earlier. {FORMS}",
    "bucket": "Only events on the charts of this bucket, by name or SID",
    "environment": "Only events on the charts of this environment, by name or SID",
    "limit": "How many events at most",
    "page": "The first page is 1; hasMore in the result says whether there is another",
    "sid": "The event's SID, from list_events or what_changed",
    "reopen": "Remove the end, because the event goes on after all",
    "resolution": "How it was resolved, in one sentence, such as: Rolled back to v2.3.0",
    "around": f"When the charts jumped; now by default. {FORMS}",
    "event": "An event's SID, or its marker's key",
    "deployedTo": "Only what happened in this environment, as senders call it in metadata.environment (prod "
    "and production are the same), and what names none",
    "after": "Minutes before the deploy and after it that are compared; usually 15",
    "minutes": "How many minutes to look before and after that time",
    "types": "Only events of these types",
}
"""Field name -> its description for the assistant. A name means the same in every tool."""


def _read_moment(value: object) -> datetime:
    moment = read_moment(value) if isinstance(value, str) else parse_timestamp(value)
    if moment is None:
        raise ValueError(f"is not a time; write {FORMS}")
    return moment


Moment = Annotated[datetime, BeforeValidator(_read_moment), WithJsonSchema({"type": "string"})]


def _decoded(value: object) -> object:
    """Read a list or object that an assistant has written as JSON in a string, as some do."""
    if isinstance(value, str) and value.lstrip()[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class Arguments(BaseModel):
    """The arguments of a call. A null counts as left out, because many assistants fill in every field."""

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
            name: _decoded(value) if name in structured else value
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
    event: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] | None = None
    minutes: Annotated[int, Field(ge=1, le=LONGEST_LOOK)] = 120
    types: tuple[EventType, ...] = ()
    bucket: str | None = None
    environment: str | None = None
    deployed_to: str | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 20

    @model_validator(mode="after")
    def _has_one_moment(self) -> Self:
        if self.around is not None and self.event is not None:
            raise ValueError("around and event contradict each other; give one of them")
        return self


class DeployVerdict(Arguments):
    event: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    after: Annotated[int, Field(ge=1, le=LONGEST_VERDICT)] | None = None


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
