"""The two series of the charts, wherever the figures come from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from receiver.console.view import View

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """Requests per second and response times in milliseconds; each point is the mean over `step` seconds from
    its time on.

    `start` is in Unix seconds. `origin` says who measured it and `scope` what, if that is not what was asked
    for. `problem` says why there is nothing, or less than there should be.
    """

    origin: str
    start: int
    step: int
    throughput: Values = ()
    response: Values = ()
    scope: str = ""
    problem: str | None = None
    totals: Mapping[str, float | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "scope": self.scope,
            "start": self.start,
            "step": self.step,
            "throughput": self.throughput,
            "response": self.response,
            "problem": self.problem,
            "totals": self.totals,
        }


class ChartFigures(Protocol):
    """Asks for the figures of a view. Never raises: `Series.problem` says what failed."""

    default_range: str
    """The range of `receiver.console.view` that is shown first: one in which its figures make a line."""

    def of(self, view: View, bucket_name: str | None) -> Series: ...


def grid(started_from: datetime, started_to: datetime, step: int) -> tuple[int, int]:
    """The first point at or before the period, and how many there are whose steps end within it."""
    start = int(started_from.timestamp()) // step * step
    return start, max(0, math.floor((started_to.timestamp() - start) / step))


def on_grid(points: Mapping[int, float | None], start: int, step: int, count: int) -> list[float | None]:
    """The points by their times, which are multiples of `step`; `None` if there is none."""
    values = [points.get(start + number * step) for number in range(count)]
    return [None if value is None else float(f"{value:.4g}") for value in values]


def step_for(view: View) -> int:
    """Seconds: a point a minute, and more of them for a short period; 10,080 for seven days."""
    seconds = view.length.total_seconds()
    if seconds <= 2 * 3600:
        return 10
    return 60 if seconds <= 7 * 86_400 else 600
