"""Figures from the Prometheus of `[charts]`."""

from collections.abc import Mapping
from typing import Final

from receiver.config.console import ChartsSection
from receiver.console.charts.figures import Series, grid, on_grid, step_for
from receiver.console.view import View
from receiver.senders_api.prometheus import Prometheus, QueryFailed, ServerFailed

ORIGIN: Final = "Prometheus"
IF_REFUSED: Final = "put a proxy before Prometheus that adds the credentials"
MOST_POINTS: Final = 11_000
"""Prometheus refuses more: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries"""


class PrometheusCharts:
    """Two range queries for each view."""

    default_range = "6h"

    def __init__(self, section: ChartsSection) -> None:
        self._section = section
        self._server = Prometheus(str(section.prometheus), if_refused=IF_REFUSED)

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
        problem = " ".join(dict.fromkeys(problems)) or None
        return Series(ORIGIN, start, step, found[0], found[1], scope=scope, problem=problem)

    def _ask(
        self, name: str, query: str, start: int, step: int, count: int, factor: float
    ) -> Mapping[int, float | None]:
        """Each point is the query's value at the end of its step, whose mean it is meant to be."""
        try:
            found = self._server.values(query, start + step, start + count * step, step)
        except ServerFailed as failure:
            raise QueryFailed(
                f"No figures from Prometheus: {failure}; is `prometheus` in [charts] right?",
                is_lasting=failure.is_lasting,
            ) from failure
        except QueryFailed as failure:
            raise QueryFailed(
                f"The query `{name}` in [charts] failed: {failure}.", is_lasting=failure.is_lasting
            ) from failure
        return {round(at) - step: value * factor for at, value in found.items()}
