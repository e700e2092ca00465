"""`python -m benchmarks.verdict_requests`: what a month of insights asks of the API.

GitHub's reports of deploys of 20 repositories, in random order over each day, with a flag for every tenth and
an incident for every fiftieth, are delivered by the receiver's own `Deliverer` to a local Events API, with a
real Redis, by a clock that jumps from one event, or one second look, to the next. Twice: each repository is
deployed to an environment of its own; all are deployed to one, so that most deploys disturb each other.
Before that, the same without insights: what is asked beyond it is what they cost.

Printed are the API's requests, what the verdicts were, and what a deploy takes of Redis. The exit code
is 1 if insights cost more than 3 requests for a deploy.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.event import Event, EventType
from benchmarks.machine import machine
from receiver.datastore.address import connect
from receiver.datastore.keys import AccountKeys
from receiver.datastore.replies import as_text
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.insights import Insights
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.verdicts import VerdictRules
from receiver.events import Change, DeliveryReference, Effect
from receiver.insight.figures import ApiFigures
from receiver.insight.timeline import Timeline
from receiver.insight.verdict import Thresholds
from receiver.sources.github import GITHUB
from receiver.sources.source import translate
from receiver.worker.due_markers import second_look_at
from tests.support.github import SAMPLE, received
from tests.support.local_api import running_local_api
from tests.support.redis import long_in_use, running_redis

REPOSITORIES: Final = 20
QUARTER: Final = timedelta(minutes=15)
FLAGS: Final = 10
INCIDENTS: Final = 50
MOST: Final = 3.0
"""Requests of the API for a deploy, beside those that it takes without insights."""
SEED: Final = 21
WRITTEN: Final = "%Y-%m-%dT%H:%M:%SZ"
POINTS: Final = GITHUB.options.model_validate({"deployments": "point"})


class Month:
    """Delivers what happens, each at its time."""

    def __init__(self, redis: Redis, client: EventsClient, *, tells: bool) -> None:
        self.redis = redis
        self.now = datetime.now(UTC)
        budget = RequestBudget(redis)
        rules = VerdictRules(QUARTER, Thresholds(1.0, 50.0, 100), ApiFigures(client))
        insights = Insights(Timeline(redis), client, budget, self.clock, rules)
        self._deliverer = Deliverer(
            client,
            MarkerStore(redis, "benchmark"),
            budget,
            settle=timedelta(seconds=30),
            clock=self.clock,
            insights=insights if tells else None,
        )

    def clock(self) -> datetime:
        return self.now

    def deliver(self, change: Change) -> None:
        """Make the second looks that are due before it, then deliver it."""
        self.look_until(change.occurred_at)
        self.now = change.occurred_at
        self._deliverer.deliver(change)

    def look_until(self, moment: datetime) -> None:
        looks = AccountKeys().second_looks
        while first := [as_text(key) for key in self.redis.zrange(looks, 0, 0) if isinstance(key, bytes)]:
            (key,) = first
            at = datetime.fromtimestamp(float(self.redis.zscore(looks, key) or 0), tz=UTC)
            if at > moment:
                return
            self.now = max(self.now, at)
            self._deliverer.deliver(second_look_at(key, self.now))


def happenings(
    day: datetime, deploys: int, numbers: Iterator[int], chance: Random, own: bool
) -> list[Change]:
    """A day's deploys, flags and incidents, in the order of their times."""
    found = []
    for _ in range(deploys):
        at = (day + timedelta(seconds=chance.uniform(6, 20) * 3600)).replace(microsecond=0)
        number, repository = next(numbers), chance.randrange(REPOSITORIES)
        environment = f"production-{repository}" if own else "production"
        found.append(_deploy(number, repository, at, environment))
        if number % FLAGS == 0:
            found.append(_made(f"flag:{number}", EventType.CONFIG_CHANGE, at - 2 * QUARTER, environment))
        if number % INCIDENTS == 0:
            found.append(_made(f"incident:{number}", EventType.INCIDENT, at + 2 * QUARTER, environment))
    return sorted(found, key=lambda change: change.occurred_at)


def traffic(day: datetime) -> list[dict[str, Any]]:
    """Of each quarter of an hour, with a trouble now and then."""
    return [
        {
            "timestamp": (day + number * QUARTER).strftime(WRITTEN),
            "requests": 900,
            "errors": 40 if number % 17 == 0 else 3,
            "average": 120.0,
        }
        for number in range(-4, 100)
    ]


def _deploy(number: int, repository: int, at: datetime, environment: str) -> Change:
    """As GitHub reports it; every twentieth goes back to what ran before."""
    written = SAMPLE.read_text(encoding="utf-8").replace("acme/checkout", f"acme/service-{repository}")
    payload = json.loads(written)
    commit = f"{number - 2 * REPOSITORIES if number % 20 == 0 else number:040x}"
    payload["deployment"] |= {"id": number, "sha": commit, "ref": "main", "environment": environment}
    payload["deployment"]["created_at"] = (at - timedelta(minutes=2)).strftime(WRITTEN)
    ended = at.strftime(WRITTEN)
    payload["deployment_status"] |= {"environment": environment, "created_at": ended, "updated_at": ended}
    payload["check_run"] |= {"id": number, "started_at": payload["deployment"]["created_at"]}
    payload["workflow_run"]["id"] = number
    delivery = received(json.dumps(payload).encode(), "deployment_status")
    (change,) = translate(GITHUB, delivery, POINTS).changes
    return change


def _made(key: str, type_: EventType, at: datetime, environment: str) -> Change:
    metadata = {"marker_key": key, "environment": environment}
    return Change(
        key=key,
        effect=Effect.OPEN if type_ is EventType.INCIDENT else Effect.POINT,
        occurred_at=at,
        event=Event(type=type_, name=f"Something happened: {key}", started_at=at, metadata=metadata),
        delivery=DeliveryReference(source="events", id=key, event="event"),
    )


def memory(redis: Redis, deploys: int) -> Iterator[tuple[str, float]]:
    """Kinds of keys and bytes for each deploy, as Redis counts them."""
    found: Counter[str] = Counter()
    for key in redis.scan_iter(count=1000):
        kind = ":".join(key.decode().split(":", 2)[:2])
        found[kind] += int(redis.memory_usage(key, samples=0) or 0)
    for kind, size in sorted(found.items(), key=lambda item: -item[1]):
        yield kind, size / deploys


def month(folder: Path, days: int, deploys: int, *, own: bool, tells: bool) -> tuple[str, Counter[str]]:
    """What it came to, in words, and the API's requests by method."""
    chance = Random(SEED)  # noqa: S311 - the same each time
    with (
        running_redis(folder / "redis") as url,
        running_local_api(folder, "--quota", "1000000") as api,
        connect(url) as redis,
        EventsClient(
            api_url=api.url, account_sid=api.account_sid, token=api.token, read_timeout=30
        ) as client,
    ):
        long_in_use(redis)
        told = Month(redis, client, tells=tells)
        began = time.process_time()
        first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
        numbers = iter(range(1000, 1000 + days * deploys))
        for day in range(days):
            start = first + timedelta(days=day)
            api.set_traffic(traffic(start))
            for change in happenings(start, deploys, numbers, chance, own):
                told.deliver(change)
            told.look_until(start + timedelta(hours=23))
            _say(f"day {day + 1} of {days} …")
        seconds = time.process_time() - began
        # The lists that follow are not of the month.
        asked = Counter({method: sum(counts.values()) for method, counts in api.requests().items()})
        events = list(client.iter_events(type=EventType.DEPLOYMENT.value))
        if len(events) != days * deploys:
            sys.exit(f"{len(events)} deploys are listed, and {days * deploys} were delivered")
        words = Counter(str(event.metadata.get("verdict", "none")) for event in events)
        sizes = ", ".join(f"{kind} {size:,.0f}" for kind, size in memory(redis, len(events)) if size >= 1)
        return (
            f"  requests: {', '.join(f'{count:,} {method}' for method, count in sorted(asked.items()))}\n"
            f"  verdicts: {', '.join(f'{count:,} {word}' for word, count in words.most_common())}\n"
            f"  bytes of Redis for each deploy: {sizes}\n"
            f"  processor time of this process for each deploy: {1e6 * seconds / len(events):,.0f} µs"
        ), asked


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdict_requests", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--deploys", type=int, default=200, help="a day")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="apitraffic-verdicts-") as name:
        folder = Path(name)
        with running_redis(folder / "machine") as url, connect(url) as redis:
            print(machine(redis, folder))
        days, number = arguments.days, arguments.days * arguments.deploys
        print(f"{number:,} deploys of {REPOSITORIES} repositories in {days} days", flush=True)
        said, without = month(folder / "without", days, arguments.deploys, own=True, tells=False)
        print(f"without insights\n{said}", flush=True)
        costs = []
        for own, where in ((True, "each to an environment of its own"), (False, "all to one environment")):
            said, asked = month(folder / where, days, arguments.deploys, own=own, tells=True)
            costs.append((asked.total() - without.total()) / number)
            print(f"{where}: {costs[-1]:.2f} requests more for each deploy\n{said}", flush=True)
    sys.exit(0 if max(costs) <= MOST else 1)


if __name__ == "__main__":
    main()
