"""Validates what clients send: the bodies of create and update, and the query of the lists."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from receiver.local.events_api.catalogue import BUCKETS, ENVIRONMENTS, EVERYTHING
from receiver.local.events_api.errors import ApiError, FieldProblem, invalid
from receiver.local.events_api.store import EventFilter, Page
from receiver.local.events_api.timestamps import normalise_timestamp, now

NAME_LIMIT: Final = 200
DESCRIPTION_LIMIT: Final = 2_000
METADATA_LIMIT: Final = 16_384
"""Bytes of the metadata as JSON."""
COMPACT: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
DEFAULT_PAGE_SIZE: Final = 25
LARGEST_PAGE_SIZE: Final = 100
LAST_PAGE: Final = 1_000_000
SET_BY_SERVER: Final = frozenset({"sid", "accountSid", "createdAt", "updatedAt"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """The names of the filters of the event list."""

    type: str
    started_from: str
    started_to: str
    bucket: str
    environment: str


PARAMETERS: Final = Parameters("type", "startDate", "endDate", "bucketSid", "environmentSid")
OTHER_PARAMETERS: Final = Parameters("event_type", "start_date", "end_date", "bucket_sid", "environment_sid")

EventType = Literal["deployment", "incident", "config_change", "scale", "custom"]
EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType)


def _check_size(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(COMPACT.encode(metadata).encode())
    except ValueError as error:
        raise ValueError("contains a number that is too large for JSON") from error
    if size > METADATA_LIMIT:
        raise ValueError(f"must be at most {METADATA_LIMIT} bytes as JSON, but is {size}")
    return metadata


def _check_known(sids: list[str], known: Mapping[str, str], what: str) -> list[str]:
    for sid in sids:
        if sid != EVERYTHING and sid not in known:
            raise ValueError(
                f'{sid!r} is not {what} of this account; there are {", ".join(known)}, and "*" for all'
            )
    return sids


def _known_buckets(sids: list[str]) -> list[str]:
    return _check_known(sids, BUCKETS, "a bucket")


def _known_environments(sids: list[str]) -> list[str]:
    return _check_known(sids, ENVIRONMENTS, "an environment")


Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]
Timestamp = Annotated[str, AfterValidator(normalise_timestamp)]
Scope = Annotated[list[str], Field(min_length=1)]


class EventFields(BaseModel):
    """The optional fields of an event, with their defaults."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    description: Annotated[str, Field(max_length=DESCRIPTION_LIMIT)] | None = None
    source: str | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(_check_size)] = Field(default_factory=dict)
    buckets: Annotated[Scope, AfterValidator(_known_buckets)] = Field(default_factory=lambda: [EVERYTHING])
    environments: Annotated[Scope, AfterValidator(_known_environments)] = Field(
        default_factory=lambda: [EVERYTHING]
    )
    started_at: Timestamp = Field(default_factory=now)
    ended_at: Timestamp | None = None


class NewEvent(EventFields):
    type: EventType
    name: Name


class EventChanges(EventFields):
    """Some fields of an event. The defaults are never used: only fields that were sent are read."""

    type: EventType = "custom"
    name: Name = "-"


def read_new_event(body: bytes) -> dict[str, Any]:
    """Return all fields of an event by their JSON names. Raises ApiError with 400 or 422."""
    fields = _read(NewEvent, body).model_dump(by_alias=True)
    require_order(fields)
    return fields


def read_changes(body: bytes) -> dict[str, Any]:
    """Return the fields that were sent, by their JSON names. Raises ApiError with 400 or 422."""
    return _read(EventChanges, body).model_dump(by_alias=True, exclude_unset=True)


def require_order(fields: Mapping[str, Any]) -> None:
    """Raise ApiError if an event ends before it starts."""
    if fields["endedAt"] is not None and fields["endedAt"] < fields["startedAt"]:
        message = f"must not be before startedAt, which is {fields['startedAt']}"
        raise invalid([{"field": "endedAt", "message": message}])


Model = TypeVar("Model", bound=EventFields)


def _read(model: type[Model], body: bytes) -> Model:
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid([_problem(cast("Mapping[str, Any]", one)) for one in error.errors()]) from error


def _problem(error: Mapping[str, Any]) -> FieldProblem:
    field = ".".join(str(part) for part in error["loc"])
    if not field:
        return {"field": "body", "message": "must be a JSON object with the fields of an event"}
    if error["type"] == "extra_forbidden":
        by_server = field in SET_BY_SERVER
        return {
            "field": field,
            "message": "is set by the server" if by_server else "is not a field of an event",
        }
    return {"field": field, "message": str(error["msg"]).removeprefix("Value error, ")}


def moments_in(
    query: Mapping[str, str], fields: Iterable[str], problems: list[FieldProblem]
) -> dict[str, str | None]:
    """These times of the query, in the API's form; what is wrong with them is added to `problems`."""
    moments: dict[str, str | None] = dict.fromkeys(fields)
    for field in moments:
        if field in query:
            try:
                moments[field] = normalise_timestamp(query[field])
            except ValueError as error:
                problems.append({"field": field, "message": str(error)})
    return moments


def read_filter(query: Mapping[str, str], parameters: Parameters | None = PARAMETERS) -> EventFilter:
    """Read the filters of the event list; `None` stands for a list without any. Raises ApiError with 422.

    Unknown parameters are ignored, as by most APIs. The vendor does not document the names of the filters,
    and a client that tries another name must not be refused here if the vendor would accept it.
    """
    if parameters is None:
        return EventFilter()
    problems: list[FieldProblem] = []
    event_type = query.get(parameters.type)
    if event_type is not None and event_type not in EVENT_TYPES:
        problems.append({"field": parameters.type, "message": f"must be one of {', '.join(EVENT_TYPES)}"})
    moments = moments_in(query, (parameters.started_from, parameters.started_to), problems)
    if problems:
        raise invalid(problems)
    return EventFilter(
        type=event_type,
        started_from=moments[parameters.started_from],
        started_to=moments[parameters.started_to],
        bucket_sid=query.get(parameters.bucket),
        environment_sid=query.get(parameters.environment),
    )


def read_page(query: Mapping[str, str]) -> Page:
    """Read `limit` and `page`; raises ApiError with 422."""
    problems: list[FieldProblem] = []
    limit = _whole_number(query, "limit", DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE, problems)
    page = _whole_number(query, "page", 1, LAST_PAGE, problems)
    if problems:
        raise invalid(problems)
    return Page(limit=limit, number=page)


def _whole_number(
    query: Mapping[str, str], field: str, default: int, largest: int, problems: list[FieldProblem]
) -> int:
    text = query.get(field)
    if text is None:
        return default
    # At most nine digits: int() is slow for thousands of them, and refuses even more.
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= largest:  # noqa: PLR2004
        return int(text)
    problems.append({"field": field, "message": f"must be a whole number from 1 to {largest}"})
    return default
