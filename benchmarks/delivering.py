"""What happens behind the queue: how long from accepted to listed, and how many a worker manages."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis
from rq import Queue

from benchmarks.accepting import CONNECTIONS, OURS, Serving, forget_all, require_all_queued, send, serving
from benchmarks.burst import WORKERS, Burst
from benchmarks.deliveries import DELIVERY_ID, PATH, new_delivery_id, signed_bodies
from benchmarks.load import Plan
from benchmarks.processes import BenchmarkError, Launcher
from receiver.local.stack import LOOPBACK
from receiver.queue.queues import ROUTINE

WORKER: Final = "worker"
PATIENCE: Final = 30.0
BURST_PATIENCE: Final = 120.0
BREATH: Final = 0.02
"""Seconds before the next delivery, for the worker to be idle again."""
PAGE: Final = 100
NEWEST: Final = 3
"""Events looked at for a single delivery: the list goes by their starts, and many share a second."""
LOOK_AT_QUEUE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Latency:
    """From the moment the sender has its 202 to the end of the first answer that lists the event."""

    deliveries: int
    p50_ms: float
    p99_ms: float
    accepted_p50_ms: float
    """From sending the request to having the 202."""
    poll_ms: float
    """Median time of one look at the list: the figures are that coarse, and at most that much too high."""


@dataclass(frozen=True, slots=True)
class Work:
    """A worker's pace; `delivers` says whether its jobs did anything."""

    jobs: int
    per_second: float
    commands: float
    delivers: bool = False


@dataclass(frozen=True, slots=True)
class ListedApi:
    """The local Events API's list."""

    url: str
    account_sid: str
    token: str

    @contextmanager
    def opened(self) -> Iterator[Callable[[int, int], list[dict[str, Any]]]]:
        """Over one connection: `page(limit, number)`, newest first."""
        parts = urlsplit(self.url)
        path = f"{parts.path}/accounts/{self.account_sid}/events"
        headers = {"Authorization": f"Bearer {self.token}"}
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)) as connection:

            def page(limit: int, number: int) -> list[dict[str, Any]]:
                connection.request("GET", f"{path}?limit={limit}&page={number}", headers=headers)
                records: list[dict[str, Any]] = json.load(connection.getresponse())["records"]
                return records

            yield page


def worker_settings(api: ListedApi) -> dict[str, str]:
    return {
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
        "APITRAFFIC_API_TOKEN": api.token,
    }


def work(launcher: Launcher, redis: Redis, jobs: Mapping[str, int]) -> dict[str, Work]:
    """Each kind of RQ worker, and ours, with so many jobs that do nothing."""
    paces = {}
    for name in WORKERS:
        forget_all(redis)
        printed = launcher.run(
            name, ["benchmarks.burst", name, str(jobs[name])], given="", timeout=BURST_PATIENCE
        )
        burst = Burst(**json.loads(printed))
        paces[name] = Work(burst.jobs, burst.jobs / burst.seconds, burst.commands)
    return paces


def deliver(
    launcher: Launcher, redis: Redis, api: ListedApi, *, backlog: int, singles: int
) -> tuple[Work, Latency]:
    """Let the real worker deliver a backlog as fast as it can, then single deliveries."""
    forget_all(redis)
    with serving(launcher, OURS, Serving(workers=1, threads=CONNECTIONS)) as (port, _), api.opened() as page:
        load = send(launcher, Plan(port, CONNECTIONS, warm_up=0, seconds=PATIENCE, most=backlog))
        require_all_queued(redis, OURS, load.answers)
        before = redis.info("stats")["total_commands_processed"]
        with launcher.running(WORKER, "receiver.cli.child", "worker"):
            queue = Queue(ROUTINE, connection=redis)
            # Rarely, and not the API's list, so as to take little of what the worker needs.
            launcher.wait_until(lambda: queue.count == 0, WORKER, BURST_PATIENCE, poll=LOOK_AT_QUEUE)
            launcher.wait_until(lambda: len(page(PAGE, backlog // PAGE)) == PAGE, WORKER)
            commands = redis.info("stats")["total_commands_processed"] - before
            pace = _pace([record for number in range(backlog // PAGE) for record in page(PAGE, number + 1)])
            return Work(backlog, pace, commands / backlog, delivers=True), _latency(port, page, singles)


def _pace(records: list[dict[str, Any]]) -> float:
    """Events a second by the API's own clock, which does not count the worker's start."""
    if len({record["metadata"]["marker_key"] for record in records}) != len(records):
        raise BenchmarkError("the same marker appears twice in the API")
    created = sorted(datetime.fromisoformat(record["createdAt"]) for record in records)
    return (len(created) - 1) / (created[-1] - created[0]).total_seconds()


def _latency(port: int, page: Callable[[int, int], list[dict[str, Any]]], singles: int) -> Latency:
    accepted, listed, polls = [], [], []
    bodies = signed_bodies()
    with closing(HTTPConnection(LOOPBACK, port, timeout=PATIENCE)) as connection:
        for _ in range(singles):
            time.sleep(BREATH)
            signed, delivery = next(bodies), new_delivery_id()
            began = time.perf_counter()
            connection.request("POST", PATH, signed.body, {**signed.headers, DELIVERY_ID: delivery})
            answer = connection.getresponse()
            if answer.status != 202 or not answer.read():  # noqa: PLR2004 - HTTP's own number
                raise BenchmarkError(f"a single delivery was answered with {answer.status}")
            answered = time.perf_counter()
            accepted.append(answered - began)
            is_listed = False
            while not is_listed:
                looked = time.perf_counter()
                is_listed = any(record["metadata"]["delivery_id"] == delivery for record in page(NEWEST, 1))
                polls.append(time.perf_counter() - looked)
                if looked - answered > PATIENCE:
                    raise BenchmarkError(f"a delivery was not listed within {PATIENCE:g} s")
            listed.append(time.perf_counter() - answered)
    return Latency(
        deliveries=singles,
        p50_ms=1000 * median(listed),
        p99_ms=1000 * quantiles(listed, n=100, method="inclusive")[-1],
        accepted_p50_ms=1000 * median(accepted),
        poll_ms=1000 * median(polls),
    )
