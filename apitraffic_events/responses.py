"""Reading responses of the Events API: records in either documented shape, errors, the rate limit."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import requests
from pydantic import ValidationError

from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimit,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
)
from apitraffic_events.metrics import MetricsSummary, ThroughputPoint
from apitraffic_events.records import Record
from apitraffic_events.timestamps import now, parse_timestamp

ERROR_NUMBER: Final = re.compile(r"\[Errno -?\d+\] ")
TRANSIENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

RecordT = TypeVar("RecordT", bound=Record)


def read_record(model: type[RecordT], item: object) -> RecordT:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        raise ServerFailed(f"the answer is not one {model.__name__.lower()}") from error


def read_records(model: type[RecordT], items: Iterable[object]) -> tuple[RecordT, ...]:
    """Those items that are records: one that is none must not make the whole list unreadable.

    Raises `ServerFailed` if there are items and none is a record.
    """
    asked = list(items)
    found = []
    for item in asked:
        with suppress(ServerFailed):
            found.append(read_record(model, item))
    if asked and not found:
        raise ServerFailed(f"the answer is a list of something else than {model.__name__.lower()}s")
    return tuple(found)


def read_points(items: Iterable[object]) -> tuple[ThroughputPoint, ...]:
    """The points that can be read, in the order of time."""
    points = []
    for item in items:
        with suppress(ValidationError):
            points.append(ThroughputPoint.model_validate(item))
    return tuple(sorted(points, key=lambda point: point.timestamp))


def read_summary(data: object) -> MetricsSummary:
    """The summary, also if the API wraps it in a list of one, as it does other figures."""
    records = data.get("records") if isinstance(data, dict) else data
    if isinstance(records, list) and len(records) == 1:
        data = records[0]
    try:
        return MetricsSummary.model_validate(data)
    except ValidationError as error:
        raise ServerFailed("the answer is not a summary of metrics") from error


def content_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def unwrap(content: Any) -> tuple[Any, Mapping[str, Any]]:
    """The data and the metadata: the reference shows resources bare and in `{"success", "data", "meta"}`."""
    if isinstance(content, dict) and "success" in content and "data" in content:
        meta = content.get("meta")
        return content["data"], meta if isinstance(meta, dict) else {}
    return content, {}


def records_in(data: Any, around: Mapping[str, Any]) -> tuple[list[Any], bool]:
    if isinstance(data, dict) and isinstance(data.get("records"), list):
        return data["records"], bool(data.get("hasMore", around.get("hasMore", False)))
    if isinstance(data, list):
        return data, bool(around.get("hasMore", False))
    raise ServerFailed("the answer is not a list")


def failure_of(response: requests.Response, content: Any, rate_limit: RateLimit | None) -> EventsApiError:
    status = response.status_code
    error = content.get("error") if isinstance(content, dict) else None
    said = error if isinstance(error, dict) else {}
    code = said.get("code") if isinstance(said.get("code"), str) else None
    message = str(said.get("message") or f"HTTP {status} {response.reason or ''}".rstrip())
    if details := said.get("details"):
        message = f"{message}: {details}"
    if response.is_redirect:
        message = "the API redirects elsewhere; check APITRAFFIC_API_URL"
    retry_after = retry_after_of(response.headers)
    return _failure_class(status)(
        message,
        code=code,
        status=status,
        rate_limit=rate_limit,
        retry_after=retry_after,
        fields=refused_fields(said.get("details")),
    )


def refused_fields(details: object) -> dict[str, str]:
    """Field -> what is wrong with it, from `[{"field", "message"}]` or `{field: message}`.

    The reference does not show what `details` looks like. What is of another form is left out.
    """
    pairs: list[tuple[object, object]] = []
    if isinstance(details, dict):
        pairs = list(details.items())
    elif isinstance(details, list):
        pairs = [(item.get("field"), item.get("message")) for item in details if isinstance(item, dict)]
    return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}


def _failure_class(status: int) -> type[Rejected | Unauthorised | ServerFailed | RateLimited]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in TRANSIENT:
        return ServerFailed
    if status in REFUSED:
        return Unauthorised
    return NotFound if status in GONE else Rejected


def cause_of(error: requests.RequestException) -> object:
    """What went wrong according to urllib3, whose error requests wraps, sometimes twice."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", inner)


def reason_of(error: requests.RequestException) -> str:
    """The message of the cause, without the objects' addresses and the numbers that come before it."""
    cause = cause_of(error)
    if isinstance(cause, Exception) and cause.args and isinstance(cause.args[-1], Exception):
        cause = cause.args[-1]  # "Connection aborted." is less than why it was
    said = ERROR_NUMBER.sub("", str(cause).rpartition(": ")[2]).strip()
    return said or "the connection failed"


def rate_limit_of(headers: Mapping[str, str]) -> RateLimit | None:
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    try:
        limit, remaining, reset = (int(headers[name]) for name in names)
        return RateLimit(limit, remaining, datetime.fromtimestamp(reset, tz=UTC))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """When the API sent the response, by its own clock, in whole seconds (RFC 9110 section 6.6.1)."""
    try:
        return parse_timestamp(parsedate_to_datetime(headers["Date"]))
    except (KeyError, ValueError):
        return None


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or an HTTP date (RFC 9110 section 10.2.3), or `None`."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((parse_timestamp(moment) or now()) - now()).total_seconds())
