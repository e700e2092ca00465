"""The account's traffic, which the metrics endpoints add up. There is none, unless a test says what it was.

The vendor documents the parameters and the names of the fields. The units, the envelope of the list and what
`topEndpoints` holds are a guess, and so is whether `totalErrors` counts 4xx: a test may say either.
"""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from receiver.local.events_api.errors import FieldProblem, invalid
from receiver.local.events_api.timestamps import format_timestamp, normalise_timestamp
from receiver.local.events_api.validation import moments_in

Interval = Literal["hour", "day", "week", "month"]
INTERVALS: Final[tuple[str, ...]] = get_args(Interval)
StatusClass = Literal["2xx", "3xx", "4xx", "5xx"]
STATUS_CLASSES: Final[tuple[str, ...]] = get_args(StatusClass)
LENGTHS: Final = {"hour": 3600, "day": 86_400, "week": 7 * 86_400}
MONDAY: Final = 4 * 86_400
"""The first Monday in Unix seconds: 5 January 1970."""


Count = Annotated[int, Field(ge=0)]


class Point(BaseModel):
    """Requests from `timestamp` on; `average` is their response time in milliseconds.

    Without `requestsByStatus`, errors have the status 5xx and the others 2xx.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    timestamp: Annotated[str, AfterValidator(normalise_timestamp)]
    requests: Count
    errors: Count = 0
    average: Annotated[float, Field(ge=0)] = 0.0
    bucket_sid: str | None = None
    environment_sid: str | None = None
    requests_by_status: dict[StatusClass, Count] | None = None
    requests_by_method: dict[str, Count] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.errors > self.requests:
            raise ValueError("has more errors than requests")
        if self.requests_by_status is not None and sum(self.requests_by_status.values()) != self.requests:
            raise ValueError("requestsByStatus must add up to requests")
        return self

    @property
    def by_status(self) -> Mapping[StatusClass, int]:
        if self.requests_by_status is not None:
            return self.requests_by_status
        return {"2xx": self.requests - self.errors, "5xx": self.errors}

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.timestamp)


POINTS: Final = TypeAdapter(tuple[Point, ...])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which traffic is asked for; `None` stands for all. The period includes both ends."""

    started_from: str | None
    started_to: str | None
    bucket_sid: str | None
    environment_sid: str | None
    interval: str

    def includes(self, point: Point) -> bool:
        return (
            (self.started_from is None or point.timestamp >= self.started_from)
            and (self.started_to is None or point.timestamp <= self.started_to)
            and self.bucket_sid in {None, point.bucket_sid}
            and self.environment_sid in {None, point.environment_sid}
        )


class Traffic:
    """Kept in memory."""

    def __init__(self) -> None:
        self._points: tuple[Point, ...] = ()
        self._lock = threading.Lock()

    def replace(self, body: bytes) -> int:
        """Take these points instead of all; returns how many. Raises ApiError with 422."""
        try:
            points = POINTS.validate_json(body)
        except ValidationError as error:
            found = [
                FieldProblem(field=".".join(map(str, one["loc"])), message=one["msg"])
                for one in error.errors()
            ]
            raise invalid(found) from error
        with self._lock:
            self._points = points
        return len(points)

    def throughput(self, wanted: Wanted) -> list[str]:
        """A record for each interval in which there was traffic, the earliest first."""
        groups: dict[str, list[Point]] = defaultdict(list)
        for point in self._found(wanted):
            groups[format_timestamp(_beginning(point.moment, wanted.interval))].append(point)
        return [json.dumps({"timestamp": at, **_sums(groups[at])}) for at in sorted(groups)]

    def summary(self, wanted: Wanted) -> str:
        points = self._found(wanted)
        sums = _sums(points)
        by_status: Counter[str] = Counter(dict.fromkeys(STATUS_CLASSES, 0))
        by_method: Counter[str] = Counter()
        for point in points:
            by_status.update(point.by_status)
            by_method.update(point.requests_by_method)
        return json.dumps(
            {
                "totalRequests": sums["requests"],
                "totalErrors": sums["errors"],
                "averageResponseTime": sums["average"],
                "requestsByStatus": by_status,
                "requestsByMethod": by_method,
                "topEndpoints": [],
            }
        )

    def _found(self, wanted: Wanted) -> list[Point]:
        with self._lock:
            return [point for point in self._points if wanted.includes(point)]


def read_wanted(query: Mapping[str, str]) -> Wanted:
    """Raises ApiError with 422."""
    problems: list[FieldProblem] = []
    moments = moments_in(query, ("startDate", "endDate"), problems)
    interval = query.get("interval", "day")
    if interval not in INTERVALS:
        problems.append({"field": "interval", "message": f"must be one of {', '.join(INTERVALS)}"})
    if problems:
        raise invalid(problems)
    return Wanted(
        moments["startDate"],
        moments["endDate"],
        query.get("bucketSid"),
        query.get("environmentSid"),
        interval,
    )


def _sums(points: Iterable[Point]) -> dict[str, Any]:
    requests = errors = 0
    spent = 0.0
    for point in points:
        requests += point.requests
        errors += point.errors
        spent += point.requests * point.average
    return {"requests": requests, "errors": errors, "average": round(spent / requests, 3) if requests else 0}


def _beginning(moment: datetime, interval: str) -> datetime:
    if interval == "month":
        return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    length = LENGTHS[interval]
    offset = MONDAY if interval == "week" else 0
    seconds = int(moment.timestamp()) - offset
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds // length * length + offset)
