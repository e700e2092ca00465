"""`python -m benchmarks.stages`: where the processor time of an accepted delivery goes, stage by stage.

One process of the receiver under the load of 16 connections, whose stages are timed from outside. The timing
itself takes some microseconds of each stage. What no stage accounts for is the event loop.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

from redis import Redis

from benchmarks.accepting import CONNECTIONS, send
from benchmarks.deliveries import SECRET
from benchmarks.load import Plan
from benchmarks.machine import machine
from benchmarks.processes import Launcher
from receiver.cli import main as command
from receiver.cli.child import stop_with_parent
from receiver.datastore.script_group import ScriptGroups
from receiver.local.plain_http import answers_ok
from receiver.local.stack import LOOPBACK, free_port
from receiver.observability.logs import LinesTogether
from receiver.queue.enqueueing import Enqueuer
from receiver.serving import connection
from receiver.serving.connection import Connection
from receiver.serving.direct_worker import DirectWorker
from receiver.sources import payload
from receiver.web import acceptance
from receiver.web.acceptance import Acceptance
from receiver.web.admission import Admission, IncomingBody
from tests.support.redis import running_redis

RESULT: Final = "BENCHMARK_STAGES"
"""The variable with the file that the timed receiver writes."""
SECONDS: Final = 8.0
MOST: Final = 100_000

STAGES: Final = (
    (connection, "Request", "gunicorn parses the head"),
    (Admission, "admit", "admission"),
    (IncomingBody, "add", "body and its digest"),
    (IncomingBody, "finish", "body and its digest"),
    (payload, "read_json", "JSON"),
    (acceptance, "translate_and_route", "translation, models, keys"),
    (Acceptance, "read", "delivery and its metric"),
    (Enqueuer, "call_for", "the job"),
    (ScriptGroups, "send", "Redis: sending a group, reading the replies"),
    (ScriptGroups, "receive", "Redis: sending a group, reading the replies"),
    (Acceptance, "conclude", "log line and metrics"),
    (LinesTogether, "flush", "log line and metrics"),
    (DirectWorker, "_send", "the response"),
    (Connection, "feed", "buffers"),
)


class Stages:
    """The processor time of this thread in each stage, without that of the stages inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._inside: list[float] = []

    def timed(self, call: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(call)
        def timing(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                taken = time.thread_time() - began
                self.seconds[stage] += taken - self._inside.pop()
                self.calls[stage] += 1
                if self._inside:
                    self._inside[-1] += taken

        return timing


def serve() -> None:
    """In a process of its own: the receiver with its stages timed."""
    stop_with_parent()
    stages = Stages()
    for home, name, stage in STAGES:
        setattr(home, name, stages.timed(getattr(home, name), stage))
    run = DirectWorker.run

    def run_and_tell(worker: DirectWorker) -> None:
        began = time.thread_time()
        try:
            run(worker)
        finally:
            total = time.thread_time() - began
            found = {"total": total, "requests": stages.calls["the response"], "stages": stages.seconds}
            Path(os.environ[RESULT]).write_text(json.dumps(found), encoding="utf-8")

    setattr(DirectWorker, "run", run_and_tell)  # noqa: B010 - mypy takes no other way
    command()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name:
        folder = Path(name)
        with running_redis(folder / "redis") as url, Redis.from_url(url) as redis:
            about = machine(redis, folder)
            for from_actions in (False, True):
                result = folder / f"stages-{from_actions}.json"
                settings = {"REDIS_URL": url, "GITHUB_WEBHOOK_SECRET": SECRET, RESULT: str(result)}
                launcher = Launcher.with_settings(folder, settings)
                port = free_port(LOOPBACK)
                plan = Plan(
                    port, CONNECTIONS, warm_up=0.5, seconds=SECONDS, most=MOST, from_actions=from_actions
                )
                arguments = ("benchmarks.stages", "serve", "--port", str(port), "--workers", "1")
                with launcher.running("stages", *arguments):
                    health = f"http://{LOOPBACK}:{port}/healthz"
                    launcher.wait_until(lambda health=health: answers_ok(health), "stages")  # type: ignore[misc]
                    send(launcher, plan)
                redis.flushall()
                _show(json.loads(result.read_text(encoding="utf-8")), from_actions=from_actions)
    print(f"{about.date}: {about.cores} cores of {about.processor}, {about.python}, load {about.load:.1f}")


def _show(found: dict[str, Any], *, from_actions: bool) -> None:
    requests = found["requests"]
    stages = {stage: 1e6 * seconds / requests for stage, seconds in found["stages"].items()}
    total = 1e6 * found["total"] / requests
    print(f"{'22' if from_actions else '10'} kB, {requests:,} requests, µs of processor time for each")
    for stage, us in stages.items():
        print(f"  {stage:45} {us:6.0f}")
    print(f"  {'the event loop, and all else':45} {total - sum(stages.values()):6.0f}")
    print(f"  {'together':45} {total:6.0f}")


if __name__ == "__main__":
    serve() if sys.argv[1:2] == ["serve"] else main()
