"""The figures of an account's traffic, as `metrics/throughput` and `metrics/summary` return them.

The reference names the fields and not their units: `average` and `averageResponseTime` are taken to be
milliseconds.
"""

import math
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict
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


SCOPE: Final = "metrics:read"
"""The scope that a token needs for both."""
