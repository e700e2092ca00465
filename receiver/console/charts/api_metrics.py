"""The account's own traffic, as ApiTraffic measures it."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from apitraffic_events import EventsApiError, EventsClient
from apitraffic_events.errors import NotFound, Unauthorised
from apitraffic_events.metrics import SCOPE, Interval
from receiver.console.charts.figures import Series, grid, on_grid
from receiver.console.known_events import KnownEvents, in_words
from receiver.console.view import View

ORIGIN: Final = "ApiTraffic"
HOUR: Final = 3600
DAY: Final = 86_400
HOURLY_UP_TO: Final = 7 * DAY
KEPT_FOR: Final = 60.0
"""Seconds: a point stands for an hour, and each question is one request of the budget."""
MOST_KEPT: Final = 50

ResultT = TypeVar("ResultT")
Key = tuple[str, int, int, str, str]


class ApiMetrics:
    """Asks the API for a view's traffic, and keeps the answer for a minute."""

    default_range = "24h"

    def __init__(self, events: KnownEvents, clock: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._clock = clock
        self._kept: dict[Key, tuple[float, Series]] = {}
        self._lock = threading.Lock()

    def of(self, view: View, bucket_name: str | None) -> Series:
        step = HOUR if view.length.total_seconds() <= HOURLY_UP_TO else DAY
        start, count = grid(view.started_from, view.started_to, step)
        key = (view.range, start, count, view.bucket, view.environment)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._clock() < kept[0] + KEPT_FOR:
                return kept[1]
        series = self._ask(view, start, step, count)
        with self._lock:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (self._clock(), series)
        return series

    def _ask(self, view: View, start: int, step: int, count: int) -> Series:
        interval = Interval.HOUR if step == HOUR else Interval.DAY
        bucket, environment = view.bucket or None, view.environment or None

        def ask(client: EventsClient) -> Series:
            points = client.metrics_throughput(
                view.started_from, view.started_to, interval, bucket=bucket, environment=environment
            )
            total = client.metrics_summary(
                view.started_from, view.started_to, bucket=bucket, environment=environment
            )
            times = [(int(point.timestamp.timestamp()) // step * step, point) for point in points]
            # The hour that has just begun counts too: it is what somebody looks for.
            end = view.started_to.timestamp()
            requests = {
                at: None if it.requests is None else it.requests / max(1.0, min(step, end - at))
                for at, it in times
            }
            averages = {at: it.average for at, it in times}
            return Series(
                ORIGIN,
                start,
                step,
                on_grid(requests, start, step, count + 1),
                on_grid(averages, start, step, count + 1),
                totals={
                    "requests": total.total_requests,
                    "errors": total.total_errors,
                    "response": total.average_response_time,
                },
            )

        try:
            return self._events.ask(ask)
        except Unauthorised:
            problem = f"The API token may not read metrics; give it the scope {SCOPE}, or set up [charts]."
        except NotFound:
            problem = (
                "This API has no metrics. Set up [charts] with a Prometheus to draw its figures instead."
            )
        except EventsApiError as error:
            problem = in_words(error)
        return Series(ORIGIN, start, step, problem=problem)
