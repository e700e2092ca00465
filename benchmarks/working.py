"""`python -m benchmarks.working [CHECKOUT …]`: how many deliveries a second one worker makes, and how soon.

Measured with two upstreams: a trivial one, which answers every request at once, and the local Events API.
Other checkouts of this repository can be measured beside this one; they take turns, so that the machine's
other work affects all of them alike. Redis syncs its file at each write. It stands for one that has been in
use for long: a worker looks for every marker in the API whose change is older than Redis' data, and in a new
Redis that is every marker. "Idle" is the time from a change that is queued, the moment of the sender's 202,
to the end of the first answer of the local API that lists its event, for changes one by one.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from redis import Redis

from apitraffic_events.timestamps import now
from benchmarks.creating import ACCOUNT_SID, TOKEN
from benchmarks.deliveries import EVENT, SECRET, new_delivery_id, signed_bodies
from benchmarks.delivering import BREATH, NEWEST, ListedApi
from benchmarks.processes import BenchmarkError, end, processor_seconds
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.throughput import delivered_in_last_hour
from receiver.sources.github import GITHUB
from receiver.sources.source import translate
from tests.support.redis import RedisProcess, long_in_use, redis_process

THIS_CHECKOUT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("apitraffic-events", "redis", "requests", "rq")
UPSTREAMS: Final = ("trivial", "api")
PATIENCE: Final = 120.0
POLL: Final = 0.005
NOT_COUNTED: Final = 10
"""One part in this many is delivered before the clock starts: the worker's start is not measured."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One worker's pace, and the processor time that it and Redis took for each delivery."""

    per_second: float
    worker_us: float
    redis_us: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.working", description=__doc__)
    parser.add_argument("checkouts", nargs="*", type=Path, help="other versions of this repository")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1_000, help="deliveries in a turn (default: %(default)s)")
    parser.add_argument("--singles", type=int, default=40, help="changes one by one (default: %(default)s)")
    parser.add_argument("--upstream", choices=UPSTREAMS, action="append", help="measure this; repeatable")
    arguments = parser.parse_args()
    checkouts = [THIS_CHECKOUT, *(each.resolve() for each in arguments.checkouts)]
    upstreams = arguments.upstream or UPSTREAMS
    turns: dict[tuple[Path, str], list[Turn]] = {(each, name): [] for each in checkouts for name in upstreams}
    idle: dict[Path, list[list[float]]] = {each: [] for each in checkouts}
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as folder,
        redis_process(Path(folder)) as server,
    ):
        print(machine(server))
        for _ in range(arguments.rounds):
            for name in upstreams:
                for checkout in checkouts:
                    turns[checkout, name].append(take_turn(checkout, server, name, arguments.jobs))
            for checkout in checkouts:
                idle[checkout].append(idle_turn(checkout, server, arguments.singles))
    print(f"medians of {arguments.rounds} turns of {arguments.jobs} deliveries")
    print(f"{'':24}{'upstream':>10}{'a second':>10}{'of before':>11}{'worker µs':>11}{'Redis µs':>10}")
    for name in upstreams:
        for checkout in checkouts:
            print(line(checkout, name, turns[checkout, name], turns[checkouts[-1], name]))
    print(f"{'':24}{'':>10}{'changes':>10}{'p50 ms':>11}{'p90 ms':>11}")
    for checkout in checkouts:
        print(idle_line(checkout, idle[checkout]))


def machine(server: RedisProcess) -> str:
    with Redis.from_url(server.url) as redis:
        redis_version = redis.info("server")["redis_version"]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}: {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}, load {os.getloadavg()[0]:.1f}\nPython {platform.python_version()}, "
        f"{packages}, Redis {redis_version}"
    )


def idle_line(checkout: Path, turns: Sequence[list[float]]) -> str:
    each = sorted(seconds for turn in turns for seconds in turn)
    *_, p90 = quantiles(each, n=10, method="inclusive")
    name = "this checkout" if checkout == THIS_CHECKOUT else checkout.name
    return f"{name:24}{'idle':>10}{len(each):>10}{1e3 * median(each):>11.1f}{1e3 * p90:>11.1f}"


def line(checkout: Path, upstream: str, turns: Sequence[Turn], others: Sequence[Turn]) -> str:
    name = "this checkout" if checkout == THIS_CHECKOUT else checkout.name
    pace = median(turn.per_second for turn in turns)
    ratio = median(turn.per_second / other.per_second for turn, other in zip(turns, others, strict=True))
    worker, redis = median(turn.worker_us for turn in turns), median(turn.redis_us for turn in turns)
    return f"{name:24}{upstream:>10}{pace:>10.0f}{ratio:>10.2f}x{worker:>11.0f}{redis:>10.0f}"


def take_turn(checkout: Path, server: RedisProcess, upstream: str, jobs: int) -> Turn:
    """Deliver so many changes that are queued; raises `BenchmarkError` if that takes too long."""
    with ExitStack() as opened:
        redis = opened.enter_context(Redis.from_url(server.url))
        redis.config_set("appendfsync", "always")
        redis.flushall()
        long_in_use(redis)
        enqueuer = Enqueuer(redis)
        for change in islice(changes(), jobs):
            enqueuer.enqueue([change])
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="apitraffic-bench-")))
        port = opened.enter_context(running_upstream(upstream, folder))
        worker = opened.enter_context(running_worker(checkout, server.url, port, folder))
        return _measured(redis, worker, jobs)


def idle_turn(checkout: Path, server: RedisProcess, singles: int) -> list[float]:
    """Seconds until each of so many changes is listed."""
    with ExitStack() as opened:
        redis = opened.enter_context(Redis.from_url(server.url))
        redis.flushall()
        long_in_use(redis)
        enqueuer = Enqueuer(redis)
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="apitraffic-bench-")))
        port = opened.enter_context(running_upstream("api", folder))
        worker = opened.enter_context(running_worker(checkout, server.url, port, folder))
        api = ListedApi(f"http://127.0.0.1:{port}/v1", ACCOUNT_SID, TOKEN)
        page = opened.enter_context(api.opened())
        taken = []
        for change in islice(changes(), 1 + singles):
            time.sleep(BREATH)
            enqueuer.enqueue([change])
            queued = time.perf_counter()
            while all(record["metadata"]["delivery_id"] != change.delivery.id for record in page(NEWEST, 1)):
                if time.perf_counter() - queued > PATIENCE or worker.poll() is not None:
                    raise BenchmarkError("a change was not delivered")
            taken.append(time.perf_counter() - queued)
        return taken[1:]


def changes() -> Iterator[Change]:
    """What GitHub's deliveries mean: each the end of another deployment, made through the API."""
    for signed in signed_bodies():
        headers = {name.lower(): value for name, value in signed.headers.items()}
        headers |= {"x-github-event": EVENT, "x-github-delivery": new_delivery_id()}
        delivery = GITHUB.receive(headers, signed.body, now())
        yield from translate(GITHUB, delivery, GITHUB.options()).changes


def _measured(redis: Redis, worker: "subprocess.Popen[bytes]", jobs: int) -> Turn:
    redis_id = redis.info("server")["process_id"]

    def wait_for(number: int) -> tuple[int, float, float, float]:
        deadline = time.monotonic() + PATIENCE
        while (delivered := delivered_in_last_hour(redis)) < number:
            if time.monotonic() > deadline or worker.poll() is not None:
                raise BenchmarkError(f"the worker has delivered {delivered} of {jobs}")
            time.sleep(POLL)
        return delivered, time.perf_counter(), processor_seconds(worker.pid), processor_seconds(redis_id)

    first, began, worker_began, redis_began = wait_for(jobs // NOT_COUNTED)
    last, ended, worker_ended, redis_ended = wait_for(jobs)
    delivered = last - first
    return Turn(
        per_second=delivered / (ended - began),
        worker_us=1e6 * (worker_ended - worker_began) / delivered,
        redis_us=1e6 * (redis_ended - redis_began) / delivered,
    )


@contextmanager
def running_upstream(name: str, folder: Path) -> Iterator[int]:
    """The port of the trivial upstream, or of the local Events API of this checkout."""
    command = ["benchmarks.upstream"]
    if name == "api":
        data = str(folder / "events.sqlite")
        command = ["receiver", "api", "--port", "0", "--account-sid", ACCOUNT_SID, "--data", data]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=THIS_CHECKOUT,
        env={**os.environ, "APITRAFFIC_LOCAL_API_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if process.stdout is None:
            raise BenchmarkError("the upstream's output is no pipe")
        *_, address = process.stdout.readline().split("/v1")[0].split(":")
        yield int(address)
    finally:
        end(process)


@contextmanager
def running_worker(
    checkout: Path, redis_url: str, port: int, folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    settings = {
        "REDIS_URL": redis_url,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "APITRAFFIC_API_URL": f"http://127.0.0.1:{port}/v1",
        "APITRAFFIC_ACCOUNT_SID": ACCOUNT_SID,
        "APITRAFFIC_API_TOKEN": TOKEN,
        "APITRAFFIC_CONFIG": str(folder / "apitraffic.toml"),
        "NO_PROXY": "*",
    }
    (folder / "apitraffic.toml").touch()
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "receiver.cli.child", "worker"],
            cwd=checkout,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


if __name__ == "__main__":
    main()
