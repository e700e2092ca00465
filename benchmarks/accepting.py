"""Requests a second, and how long they take: an empty route, naive receivers and ours, in turns."""

import json
import math
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis
from rq import Queue

from benchmarks import webhook
from benchmarks.contenders import CONTENDERS, EMPTY, FLOOR, NAIVE_QUEUE
from benchmarks.deliveries import signed_bodies
from benchmarks.load import FEWER_BODIES, Load, Plan
from benchmarks.processes import POLL, BenchmarkError, Launcher, processor_seconds
from receiver.local.plain_http import answers_ok
from receiver.local.stack import LOOPBACK, free_port
from receiver.queue.queues import ROUTINE

OURS: Final = "ours"
PLAIN: Final = "plain"
"""Ours, with all deliveries passed through Flask."""
BEFORE: Final = "before"
"""Ours, of another commit."""
WEBHOOK: Final = "webhook"
ACCEPTED: Final = "202"
CONNECTIONS: Final = 16
MOST_REQUESTS: Final = 200_000
"""In one round; keeps what Redis has to hold within bounds on any machine."""
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How gunicorn runs all of them."""

    workers: int
    threads: int


@dataclass(frozen=True, slots=True)
class Round:
    """One contender's turn."""

    load: Load
    server_us: float
    """Processor time of the server's processes for each request, in microseconds, where that is known."""
    redis_us: float


@dataclass(frozen=True, slots=True)
class Accepting:
    """The medians of a contender's rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float | None
    redis_us: float
    generator_us: float
    accepted: int
    """In all rounds, and every one of them found in the queue."""
    rounds: tuple[float, ...]
    """Requests a second in each."""
    rounds_us: tuple[float, ...]
    """Processor time of server and Redis for each request, in each."""

    @property
    def both_us(self) -> float:
        return median(self.rounds_us)

    def cost_of(self, other: "Accepting") -> float:
        """How many times the processor time of another it needs, likewise."""
        return median(mine / theirs for mine, theirs in zip(self.rounds_us, other.rounds_us, strict=True))

    def times(self, other: "Accepting") -> float:
        """How many times as fast as another: compared round by round, since a machine has its moods."""
        return median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))


@dataclass(frozen=True, slots=True)
class Comparison:
    """All contenders with the same bodies."""

    body_bytes: int
    from_actions: bool
    contenders: dict[str, Accepting]


class Contest:
    """Runs the contenders' turns."""

    def __init__(self, launcher: Launcher, redis: Redis, how: Serving, before: Path | None = None) -> None:
        """`before` is a checkout of another commit that takes part."""
        self._launcher = launcher
        self._redis = redis
        self._how = how
        self._before = before

    def run(self, *, rounds: int, seconds: float, from_actions: bool) -> Comparison:
        """All are up at once, but only one has work; raises `BenchmarkError` where one refuses some."""
        names = [*CONTENDERS, PLAIN, OURS]
        names += [WEBHOOK] if webhook.is_installed() else []
        names += [BEFORE] if self._before else []
        with ExitStack() as stack:
            up = {
                name: stack.enter_context(serving(self._launcher, name, self._how, self._before))
                for name in names
            }
            # In turns, so that a slow moment of the machine hits all of them alike.
            turns = [
                {name: self._turn(name, *up[name], seconds, from_actions) for name in names}
                for _ in range(rounds)
            ]
        body = next(signed_bodies(from_actions=from_actions)).body
        contenders = {name: _summary([turn[name] for turn in turns]) for name in names}
        return Comparison(len(body), from_actions, contenders)

    def _turn(self, name: str, port: int, process_id: int, seconds: float, from_actions: bool) -> Round:
        plan = Plan(
            port,
            CONNECTIONS,
            warm_up=seconds / 10,
            seconds=seconds,
            most=MOST_REQUESTS,
            bodies=FEWER_BODIES,
            from_actions=from_actions,
        )
        server, redis = processor_seconds(process_id), self._redis_seconds()
        load = send(self._launcher, plan)
        server, redis = processor_seconds(process_id) - server, self._redis_seconds() - redis
        require_all_queued(self._redis, name, load.answers)
        forget_all(self._redis)
        sent = sum(load.answers.values())
        return Round(load, server_us=1e6 * server / sent, redis_us=1e6 * redis / sent)

    def _redis_seconds(self) -> float:
        used = self._redis.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


@contextmanager
def serving(
    launcher: Launcher, name: str, how: Serving, before: Path | None = None
) -> Iterator[tuple[int, int]]:
    """Run a contender, ours by its own command; its port and process id."""
    port = free_port(LOOPBACK)
    with _started(launcher, name, port, how, before) as process:
        health = f"http://{LOOPBACK}:{port}{'/' if name == WEBHOOK else '/healthz'}"
        launcher.wait_until(lambda: answers_ok(health), name)
        yield port, process.pid


def _started(
    launcher: Launcher, name: str, port: int, how: Serving, before: Path | None
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    workers, threads = str(how.workers), str(how.threads)
    if name == WEBHOOK:
        return launcher.running_program(name, webhook.command(launcher.folder, port))
    if name not in {OURS, PLAIN, BEFORE}:
        return launcher.running(name, "benchmarks.contenders", name, str(port), workers, threads)
    serve = ["receiver.cli.child", "serve", "--port", str(port), "--workers", workers, "--threads", threads]
    serve += ["--plain"] if name == PLAIN else []
    return launcher.running(name, *serve, tree=before if name == BEFORE else None)


def send(launcher: Launcher, plan: Plan) -> Load:
    """Let the load generator do this."""
    timeout = plan.warm_up + plan.seconds + PATIENCE
    printed = launcher.run("load", ["benchmarks.load"], given=json.dumps(asdict(plan)), timeout=timeout)
    return Load(**json.loads(printed))


def require_all_queued(redis: Redis, name: str, answers: Mapping[str, int]) -> None:
    """A figure counts only if every request was accepted and every accepted one is in the queue."""
    if set(answers) != {ACCEPTED}:
        raise BenchmarkError(f"{name} did not accept everything: {answers}")
    queued = answers[ACCEPTED]
    if name == FLOOR:
        queued = int(redis.dbsize())
    elif name not in {EMPTY, WEBHOOK}:
        queue = ROUTINE if name in {OURS, PLAIN, BEFORE} else NAIVE_QUEUE
        queued = Queue(queue, connection=redis).count
    if queued != answers[ACCEPTED]:
        raise BenchmarkError(f"{name} accepted {answers[ACCEPTED]} deliveries and queued {queued}")


def forget_all(redis: Redis) -> None:
    """Empty Redis and its append-only file, which otherwise grows by gigabytes."""
    redis.flushall()
    redis.bgrewriteaof()
    deadline = time.monotonic() + PATIENCE
    while redis.info("persistence")["aof_rewrite_in_progress"]:
        if time.monotonic() > deadline:
            raise BenchmarkError("Redis does not get its append-only file rewritten")
        time.sleep(POLL)


def _summary(rounds: Sequence[Round]) -> Accepting:
    loads = [each.load for each in rounds]
    server_us = median(each.server_us for each in rounds)
    return Accepting(
        per_second=median(load.per_second for load in loads),
        p50_ms=median(load.p50_ms for load in loads),
        p99_ms=median(load.p99_ms for load in loads),
        server_us=None if math.isnan(server_us) else server_us,
        redis_us=median(each.redis_us for each in rounds),
        generator_us=median(load.generator_us for load in loads),
        accepted=sum(load.answers[ACCEPTED] for load in loads),
        rounds=tuple(load.per_second for load in loads),
        rounds_us=tuple(each.server_us + each.redis_us for each in rounds),
    )
