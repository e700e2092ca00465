"""The figures of an account's traffic, as `metrics/throughput` and `metrics/summary` return them.

The reference names the fields and not their units: `average` and `averageResponseTime` are taken to be
milliseconds. Nor does it say which requests are errors: those with a status of 5xx are, where the summary
tells statuses apart, and otherwise those that it counts as errors itself.
"""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from apitraffic_events.event import Instant


class Interval(StrEnum):
    """How much time one point of the throughput stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _number(value: object) -> float | None:
    """Anything but a finite number counts as missing: one odd figure must not make the others unreadable."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]  # mypy does not follow is_number


Figure = Annotated[float | None, BeforeValidator(_number)]

STATUS: Final = re.compile(r"([1-5])(?:xx|\d\d)", re.IGNORECASE | re.ASCII)
NEARLY_ALL: Final = 0.99
"""Of the requests: the API may add up its figures at slightly different moments."""


def _by_class(value: object) -> dict[str, float]:
    """Class of status -> requests, from `{"5xx": 3}`, `{"503": 3}` or `[{"status": 503, "count": 3}]`.

    What cannot be read is left out.
    """
    found: dict[str, float] = {}
    for status, given in _pairs(value):
        matching = STATUS.fullmatch(str(status).strip())
        number = _number(given)
        if matching and number is not None:
            name = f"{matching[1]}xx"
            found[name] = found.get(name, 0) + number
    return found


def _pairs(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item.get("status"), item.get("count", item.get("requests"))


class _Figures(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class ThroughputPoint(_Figures):
    """The traffic of one interval, which begins at `timestamp`."""

    timestamp: Instant
    requests: Figure = None
    errors: Figure = None
    average: Figure = None
    """Response time in milliseconds."""


class MetricsSummary(_Figures):
    """The traffic of a period."""

    total_requests: Figure = None
    total_errors: Figure = None
    average_response_time: Figure = None
    """Milliseconds."""
    requests_by_status: Annotated[dict[str, float], BeforeValidator(_by_class)] = Field(default_factory=dict)
    """Requests by class of status: `2xx` to `5xx`."""

    @property
    def requests(self) -> float | None:
        """All requests; the sum of those by status if there is no total."""
        if self.total_requests is not None or not self.requests_by_status:
            return self.total_requests
        return sum(self.requests_by_status.values())

    @property
    def errors(self) -> float | None:
        """The requests that count as errors; `error_kind` says which these are."""
        return self._server_errors if self.error_kind == SERVER_ERRORS else self.total_errors

    @property
    def error_kind(self) -> str:
        """Figures of different kinds must not be compared."""
        return TOTAL_ERRORS if self._server_errors is None else SERVER_ERRORS

    @property
    def _server_errors(self) -> float | None:
        """`None` if the statuses do not say. There were none if all requests have other statuses."""
        given = self.requests_by_status
        is_complete = bool(given) and sum(given.values()) >= NEARLY_ALL * (self.requests or 0)
        return given.get("5xx", 0.0) if "5xx" in given or is_complete else None


SERVER_ERRORS: Final = "5xx"
TOTAL_ERRORS: Final = "totalErrors"

SCOPE: Final = "metrics:read"
"""The scope that a token needs for both."""
