"""Figures from a Prometheus, or from what answers its range queries (Thanos, Mimir, VictoriaMetrics)."""

from collections.abc import Mapping
from typing import Any, Final

import requests

from apitraffic_events.text import one_line
from receiver.config.console import ChartsSection
from receiver.console.charts.figures import Series, grid, on_grid, step_for
from receiver.console.view import View

ORIGIN: Final = "Prometheus"
ANSWER_WITHIN: Final = 8.0
"""Seconds."""
LONGEST_REASON: Final = 200
MOST_POINTS: Final = 11_000
"""Prometheus refuses more: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries"""


class QueryFailed(Exception):
    """The message says which query failed, and why."""


class PrometheusFigures:
    """Two range queries for each view."""

    default_range = "6h"

    def __init__(self, section: ChartsSection) -> None:
        self._section = section
        self._url = f"{section.prometheus}/api/v1/query_range"

    def of(self, view: View, bucket_name: str | None) -> Series:
        step = step_for(view)
        start, count = grid(view.started_from, view.started_to, step)
        while count > MOST_POINTS:
            step *= 10
            start, count = grid(view.started_from, view.started_to, step)
        own = self._section.buckets.get(bucket_name or "") or self._section.buckets.get(view.bucket)
        queries = own or self._section
        scope = "all buckets" if view.bucket and own is None else ""
        problems = []
        found: list[list[float | None]] = []
        for name, query, factor in (
            ("throughput", queries.throughput, 1.0),
            ("response_time", queries.response_time, 1000.0),
        ):
            points: Mapping[int, float | None] = {}
            try:
                points = self._ask(name, query, start, step, count, factor) if query else {}
            except QueryFailed as failure:
                problems.append(str(failure))
            found.append(on_grid(points, start, step, count) if points else [])
        problem = " ".join(problems) or None
        return Series(ORIGIN, start, step, found[0], found[1], scope=scope, problem=problem)

    def _ask(
        self, name: str, query: str, start: int, step: int, count: int, factor: float
    ) -> Mapping[int, float | None]:
        """Each point is the query's value at the end of its step, whose mean it is meant to be."""
        first, last = start + step, start + count * step
        form = {"query": query, "start": first, "end": last, "step": step}
        try:
            answer = requests.post(
                self._url,
                data=form,
                auth=lambda request: request,  # else credentials from a .netrc file would be sent
                timeout=ANSWER_WITHIN,
                allow_redirects=False,
            )
            content = answer.json()
        except requests.Timeout:
            raise QueryFailed(f"Prometheus did not answer within {ANSWER_WITHIN:g} s.") from None
        except requests.ConnectionError:
            raise QueryFailed("Prometheus cannot be reached; is `prometheus` in [charts] right?") from None
        except (requests.RequestException, ValueError):
            raise QueryFailed("What answers at `prometheus` in [charts] is no Prometheus.") from None
        data = content.get("data") if isinstance(content, dict) else None
        series = data.get("result") if isinstance(data, dict) else None
        if not answer.ok or not isinstance(series, list):
            said = content.get("error") if isinstance(content, dict) else None
            reason = one_line(str(said or f"HTTP {answer.status_code}"), LONGEST_REASON)
            raise QueryFailed(f"The query `{name}` in [charts] failed: {reason}.")
        if len(series) > 1:
            raise QueryFailed(
                f"The query `{name}` in [charts] gives {len(series)} series; put sum(…) around it."
            )
        return _points(series[0], step, factor) if series else {}


def _points(series: Any, step: int, factor: float) -> dict[int, float | None]:
    """`[[time, "value"], …]`; what is no number, as NaN of a division by nothing, is left out."""
    points: dict[int, float | None] = {}
    values = series.get("values") if isinstance(series, dict) else None
    for item in values if isinstance(values, list) else ():
        try:
            at, value = float(item[0]), float(item[1])
        except (TypeError, ValueError, IndexError):
            continue
        if value - value == 0:
            points[round(at) - step] = value * factor
    return points
