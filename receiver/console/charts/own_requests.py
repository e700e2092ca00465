"""The receiver's own requests, sampled from its /metrics: what `up` draws, since it has no other traffic."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import requests

from receiver.console.charts.figures import Series, grid, on_grid, step_for
from receiver.console.view import View

ORIGIN: Final = "this receiver's own requests"
INTERVAL: Final = 5.0
ANSWER_WITHIN: Final = 2.0
"""Seconds, both."""
KEPT: Final = {10: 6 * 360, 60: 8 * 1440, 600: 31 * 144}
"""Seconds of one point -> how many points are kept: 6 hours, 8 days, 31 days."""
COUNTERS: Final = ("apitraffic_deliveries_total", "apitraffic_rejected_total")
SECONDS: Final = "apitraffic_accept_seconds_sum"
TIMED: Final = "apitraffic_accept_seconds_count"


@dataclass(slots=True)
class Point:
    requests: float = 0.0
    seconds: float = 0.0
    timed: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the counters said."""

    requests: float
    seconds: float
    timed: float

    def since(self, before: "Sample") -> "Sample":
        """What was counted in between. Counters begin at 0 again when the receiver is restarted."""
        if self.requests < before.requests or self.timed < before.timed:
            return self
        return Sample(
            self.requests - before.requests, self.seconds - before.seconds, self.timed - before.timed
        )


class OwnRequests:
    """Keeps what it has sampled in memory. `start` begins to sample, in a thread."""

    default_range = "1h"

    def __init__(self, receiver_url: str, token: str | None, clock: Callable[[], float] = time.time) -> None:
        self._url = f"{receiver_url.rstrip('/')}/metrics"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._clock = clock
        self._points: Mapping[int, OrderedDict[int, Point]] = {step: OrderedDict() for step in KEPT}
        self._last: Sample | None = None
        self._problem: str | None = "There are no figures yet; they are taken every 5 seconds."
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._run, name="own-requests", daemon=True).start()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while True:
                try:
                    answer = session.get(self._url, headers=self._headers, timeout=ANSWER_WITHIN)
                    answer.raise_for_status()
                    self.add(read(answer.text))
                except (requests.RequestException, ValueError):
                    with self._lock:
                        self._problem = "The receiver does not answer at the moment."
                time.sleep(INTERVAL)

    def add(self, sample: Sample) -> None:
        with self._lock:
            self._problem = None
            grown = sample.since(self._last) if self._last else Sample(0, 0, 0)
            self._last = sample
            for step, points in self._points.items():
                at = int(self._clock()) // step * step
                point = points.setdefault(at, Point())
                point.requests += grown.requests
                point.seconds += grown.seconds
                point.timed += grown.timed
                while len(points) > KEPT[step]:
                    points.popitem(last=False)

    def of(self, view: View, bucket_name: str | None) -> Series:
        step = step_for(view)
        start, count = grid(view.started_from, view.started_to, step)
        with self._lock:
            points = [(at, item) for at, item in self._points[step].items() if start <= at]
            throughput = {at: item.requests / step for at, item in points}
            response = {at: item.seconds / item.timed * 1000 for at, item in points if item.timed}
            problem = self._problem
        return Series(
            ORIGIN,
            start,
            step,
            on_grid(throughput, start, step, count),
            on_grid(response, start, step, count),
            problem=problem,
        )


def read(text: str) -> Sample:
    """The counters in an answer of /metrics; raises `ValueError` if a number is none.

    https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
    """
    totals = dict.fromkeys((*COUNTERS, SECONDS, TIMED), 0.0)
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in totals:
            totals[name] += float(line.rpartition("}")[2].split()[0] if "}" in line else line.split()[1])
    return Sample(sum(totals[name] for name in COUNTERS), totals[SECONDS], totals[TIMED])
