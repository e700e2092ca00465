"""The budget's proof, time compressed: a backlog under a small quota, with incidents in the middle of it."""

import json
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import requests

from apitraffic_events.event import Event, EventType
from receiver.events import Change, DeliveryReference, Effect
from receiver.queue.enqueueing import Enqueuer
from receiver.sources.signing import SENDERS
from tests.chaos.rig import SECRETS, Rig, running_rig
from tests.chaos.seeds import seeded
from tests.support.redis import long_in_use

WORKERS: Final = 3
RESERVED_SHARE: Final = 10
"""One part in so many is for incidents and closings, so a backlog cannot have it."""
LEAST_USED: Final = 0.8
INCIDENTS: Final = 6
POLL: Final = 0.25


@dataclass(frozen=True, slots=True)
class Extent:
    events: int
    quota: int
    window: float


FULL: Final = Extent(events=20_000, quota=1_000, window=12.0)
"""An hour's quota of 1,000 with an hour made 12 s: twenty-two hours and a half."""
QUICK: Final = Extent(events=600, quota=150, window=10.0)
"""Resets are told in whole seconds, so that windows of a few lose much of their length to rounding."""


@dataclass(frozen=True, slots=True)
class Window:
    """One of the API's: from its first request on; times are in Unix seconds."""

    began: float
    requests: list[float]

    def wasted(self, length: float, budget: int, next_began: float) -> float:
        """Seconds for which workers stood still although there was budget.

        After its end until somebody dared to begin the next one; and before it where it was not used up.
        """
        end = self.began + length
        before = 0.0 if len(self.requests) >= budget else max(0.0, end - self.requests[-1])
        return before + max(0.0, next_began - end)


def windows_of(requests: list[float], length: float) -> list[Window]:
    """As the API counts: a window begins with the first request after the last one has ended."""
    windows: list[Window] = []
    for at in sorted(requests):
        if not windows or at >= windows[-1].began + length:
            windows.append(Window(at, []))
        windows[-1].requests.append(at)
    return windows


@dataclass(frozen=True, slots=True)
class Report:
    extent: Extent
    windows: list[Window]
    listed: int
    requests: dict[str, dict[str, int]]
    incident_seconds: list[float]
    troubles: list[str]

    @property
    def refused(self) -> int:
        return sum(by_outcome.get("429", 0) for by_outcome in self.requests.values())

    @property
    def seconds(self) -> float:
        return self.windows[-1].requests[-1] - self.windows[0].began

    @property
    def fullest(self) -> int:
        return max(len(window.requests) for window in self.windows)

    @property
    def used(self) -> float:
        """The share of the time in which nobody waited without need; on a slow machine some always do."""
        budget = self.extent.quota - math.ceil(self.extent.quota / RESERVED_SHARE)
        wasted = sum(
            window.wasted(self.extent.window, budget, following.began)
            for window, following in pairwise(self.windows)
        )
        return 1 - wasted / self.seconds

    @property
    def longest_wait(self) -> float:
        """What an incident may take: one window, and what whole seconds and clocks add."""
        return self.extent.window + 2

    @property
    def is_good(self) -> bool:
        return not self.problems()

    def problems(self) -> list[str]:
        found = list(self.troubles)
        if self.refused:
            found.append(f"{self.refused} requests over the quota")
        if self.listed != self.extent.events + INCIDENTS:
            found.append(f"{self.listed} events listed")
        if self.used < LEAST_USED:
            found.append(f"only {self.used:.0%} of the time well used")
        if len(self.incident_seconds) < INCIDENTS or max(self.incident_seconds) > self.longest_wait:
            found.append("incidents wait too long, or are not listed")
        return found

    def lines(self) -> Iterator[str]:
        extent = self.extent
        yield f"{extent.events:,} events queued, quota {extent.quota:,} a window of {extent.window:g} s"
        yield f"listed                    {self.listed:>8,}"
        yield f"requests                  {json.dumps(self.requests)}"
        yield f"refused for the quota     {self.refused:>8,}"
        yield f"seconds                   {self.seconds:>8.1f}"
        yield f"windows                   {len(self.windows):>8,}"
        yield f"requests in the fullest   {self.fullest:>8,}"
        yield f"by window                 {' '.join(str(len(window.requests)) for window in self.windows)}"
        yield f"time well used            {self.used:>8.0%}"
        waits = " ".join(f"{seconds:.1f}" for seconds in self.incident_seconds)
        yield f"incidents listed after, s {waits}"
        yield from (f"problem: {problem}" for problem in self.problems())


def prove(extent: Extent, folder: Path, limit: float) -> Report:
    options = ("--quota", str(extent.quota), "--window", str(extent.window))
    troubles: list[str] = []
    with running_rig(folder, *options, workers=WORKERS) as rig:
        # A Redis that began just now would look for each event first: all of them happened before that.
        long_in_use(rig.redis)
        first_window_ends = time.monotonic() + extent.window
        _queue(rig, extent.events)
        rig.start_receiver()
        # The API's first window began when it started; from the next one on it is the workers who begin them.
        time.sleep(max(0.0, first_window_ends - time.monotonic()))
        for worker in rig.workers:
            worker.start()
        deadline = time.monotonic() + limit
        random = seeded(1)
        due = sorted(random.uniform(0.1, 0.8) * extent.events for _ in range(INCIDENTS))
        posted: dict[str, datetime] = {}
        while (count := len(_created(rig))) < extent.events + INCIDENTS:
            if due and count >= due[0]:
                due.pop(0)
                posted[_post_incident(rig)] = datetime.now(UTC)
            if time.monotonic() > deadline:
                troubles.append(f"not done within {limit:g} s; waiting: {rig.waiting()}")
                break
            time.sleep(POLL)
        created = _created(rig)
        waits = [(created[key] - at).total_seconds() for key, at in posted.items() if key in created]
        windows = windows_of([at.timestamp() for at in created.values()], extent.window)
        troubles += [f"dead letter: {letter}" for letter in rig.dead_letters()]
        return Report(extent, windows, len(created), rig.api.requests(), waits, troubles)


def _queue(rig: Rig, events: int) -> None:
    enqueuer = Enqueuer(rig.redis)
    at = datetime.now(UTC) - timedelta(days=2)
    for number in range(events):
        key = f"backlog:{number}"
        event = Event(
            type=EventType.DEPLOYMENT, name=f"Deploy {number}", started_at=at, metadata={"marker_key": key}
        )
        reference = DeliveryReference(source="events", id=key.replace(":", "-"), event="event")
        change = Change(key=key, effect=Effect.POINT, occurred_at=at, event=event, delivery=reference)
        enqueuer.enqueue([change])
        at += timedelta(seconds=5)


def _created(rig: Rig) -> dict[str, datetime]:
    """Marker key -> when the API created it; from its file, as looking at its list would use up the quota."""
    with closing(sqlite3.connect(f"file:{rig.api.data}?mode=ro", uri=True)) as database:
        records: list[dict[str, Any]] = [
            json.loads(row[0]) for row in database.execute("SELECT record FROM events").fetchall()
        ]
    return {
        record["metadata"]["marker_key"]: datetime.fromisoformat(record["createdAt"]) for record in records
    }


def _post_incident(rig: Rig) -> str:
    key = f"incident-{time.time_ns()}"
    event = {"key": key, "type": "incident", "name": "Checkout is down", "effect": "open"}
    body = json.dumps(event).encode()
    sender = SENDERS["events"]
    headers = sender.headers(SECRETS[sender.secret_name], "", body, key)
    answer = requests.post(f"{rig.url}/webhooks/events", data=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return key
