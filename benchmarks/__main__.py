"""`make bench`: measures the receiver beside an empty route and naive receivers, then all that comes behind.

Uses only 127.0.0.1 and unix sockets; ends every process and removes every file it made, also on Ctrl-C.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from redis import Redis

from benchmarks import delivering, report
from benchmarks.accepting import Comparison, Contest, Serving
from benchmarks.burst import WORKERS
from benchmarks.calling import Calling
from benchmarks.deliveries import SECRET
from benchmarks.delivering import ListedApi, Work
from benchmarks.enduring import endure
from benchmarks.hanging import hang
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError, Launcher
from benchmarks.report import Results
from benchmarks.translating import Translating
from receiver.local.errors import LocalModeError
from tests.support.local_api import running_local_api
from tests.support.redis import running_redis

PARTS: Final = ("accepting", "enduring", "hanging", "delivering", "working", "translating", "calling")
THREADS: Final = 4
"""As `apitraffic-events serve` has by default, and with it one process for each core."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
DELIVERED: Final = "DeliveryWorker, delivering"
TRANSLATE_PATIENCE: Final = 30.0
CALLING_PATIENCE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured; `backlog` is a multiple of 100 and not more than the generator has bodies."""

    rounds: int
    seconds: float
    singles: int
    backlog: int
    burst: int
    queued: int
    steady_seconds: float
    jobs: dict[str, int]
    translations: int
    calling_rounds: int


FULL: Final = Extent(
    rounds=15,
    seconds=0.8,
    singles=100,
    backlog=1_000,
    burst=10_000,
    queued=100_000,
    steady_seconds=10.0,
    jobs={"SpawnWorker": 20, "Worker": 200, "SimpleWorker": 400, "DeliveryWorker": 400},
    translations=3_000,
    calling_rounds=11,
)
QUICK: Final = Extent(
    rounds=3,
    seconds=0.8,
    singles=10,
    backlog=100,
    burst=500,
    queued=1_000,
    steady_seconds=2.0,
    jobs=dict.fromkeys(WORKERS, 30) | {"SpawnWorker": 3},
    translations=300,
    calling_rounds=1,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns; the figures are rough")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each contender")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--before", type=Path, metavar="TREE", help="a checkout of another commit, to compare"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this; repeatable")
    arguments = parser.parse_args()
    extent = QUICK if arguments.quick else FULL
    if arguments.rounds:
        extent = replace(extent, rounds=arguments.rounds)
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    try:
        results = measure(extent, arguments.only or PARTS, arguments.before)
    except (BenchmarkError, LocalModeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; everything that was started has ended")
    print("\n".join(report.lines(results)))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(results), indent=2) + "\n", encoding="utf-8")


def measure(extent: Extent, parts: Collection[str], before: Path | None = None) -> Results:
    """Run these parts one after the other; raises `BenchmarkError` where a figure would not be sound."""
    with tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name:
        folder = Path(name)
        with (
            running_redis(folder / "redis") as redis_url,
            running_local_api(folder) as local,
            Redis.from_url(redis_url) as redis,
        ):
            # Redis would rewrite its file in the middle of somebody's turn.
            redis.config_set("auto-aof-rewrite-percentage", 0)
            api = ListedApi(local.url, local.account_sid, local.token)
            settings = {"REDIS_URL": redis_url, "GITHUB_WEBHOOK_SECRET": SECRET}
            settings["APITRAFFIC_SPOOL"] = str(folder / "spool.sqlite")
            launcher = Launcher.with_settings(folder, settings | delivering.worker_settings(api))
            how = Serving(workers=os.cpu_count() or 1, threads=THREADS)
            accepting: list[Comparison] = []
            enduring = hanging = latency = translating = None
            work: dict[str, Work] = {}
            calling: list[Calling] = []
            about = machine(redis, folder)
            if "accepting" in parts:
                _say(f"accepting: twice {extent.rounds} rounds of {extent.seconds:g} s each …")
                contest = Contest(launcher, redis, how, before)
                accepting = [
                    contest.run(rounds=extent.rounds, seconds=extent.seconds, from_actions=from_actions)
                    for from_actions in (False, True)
                ]
            if "enduring" in parts:
                _say("enduring …")
                enduring = endure(
                    launcher,
                    redis,
                    how,
                    burst=extent.burst,
                    queued=extent.queued,
                    seconds=extent.steady_seconds,
                )
            if "hanging" in parts:
                _say("hanging …")
                hanging = hang(launcher, redis, how)
            if "working" in parts:
                _say("working …")
                work = delivering.work(launcher, redis, extent.jobs)
            if "delivering" in parts:
                _say("delivering …")
                work[DELIVERED], latency = delivering.deliver(
                    launcher, redis, api, backlog=extent.backlog, singles=extent.singles
                )
            if "translating" in parts:
                _say("translating …")
                command = ["benchmarks.translating", str(extent.translations)]
                printed = launcher.run("translating", command, given="", timeout=TRANSLATE_PATIENCE)
                translating = Translating(**json.loads(printed))
            if "calling" in parts:
                _say("calling …")
                command = ["benchmarks.calling", str(extent.calling_rounds)]
                printed = launcher.run("calling", command, given="", timeout=CALLING_PATIENCE)
                calling = [Calling(**each) for each in json.loads(printed)]
    return Results(about, how, accepting, enduring, hanging, latency, work, translating, calling)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Once: an impatient second Ctrl-C would leave processes behind."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
