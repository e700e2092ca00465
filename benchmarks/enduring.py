"""What stays as it is: under a steady load, in a burst, and with much queued behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis import Redis

from benchmarks.accepting import OURS, Serving, forget_all, require_all_queued, send, serving
from benchmarks.load import Load, Plan
from benchmarks.processes import Launcher

RATE: Final = 200.0
"""Requests a second; some hundred times what a large organisation's deploys make."""
STEADY_CONNECTIONS: Final = 16
BURST_CONNECTIONS: Final = 64
PATIENCE: Final = 600.0
KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Steady:
    """Answers at a fixed rate of requests."""

    p50_ms: float
    p99_ms: float
    slowest_ms: float


@dataclass(frozen=True, slots=True)
class Enduring:
    """`memory_*_mib` is that of the largest process: before, and after `queued` deliveries."""

    rate: float
    idle: Steady
    burst: int
    burst_per_second: float
    burst_slowest_ms: float
    queued: int
    behind_queued: Steady
    memory_before_mib: float
    memory_after_mib: float


def endure(
    launcher: Launcher, redis: Redis, how: Serving, *, burst: int, queued: int, seconds: float
) -> Enduring:
    """Raises `BenchmarkError` where a delivery is refused or lost."""
    forget_all(redis)
    with serving(launcher, OURS, how) as (port, process_id):
        steady = Plan(port, STEADY_CONNECTIONS, warm_up=1, seconds=seconds, most=burst, rate=RATE)
        idle = _accepted(launcher, redis, steady)
        before = _largest_process(process_id)
        at_once = _accepted(launcher, redis, _flood(port, burst))
        flood = send(launcher, _flood(port, queued))
        # Not emptied in between: what is queued is to be there.
        require_all_queued(redis, OURS, flood.answers)
        behind = send(launcher, steady)
        after = _largest_process(process_id)
    return Enduring(
        rate=RATE,
        idle=_steady(idle),
        burst=burst,
        burst_per_second=at_once.per_second,
        burst_slowest_ms=at_once.slowest_ms,
        queued=queued,
        behind_queued=_steady(behind),
        memory_before_mib=before,
        memory_after_mib=after,
    )


def _accepted(launcher: Launcher, redis: Redis, plan: Plan) -> Load:
    load = send(launcher, plan)
    require_all_queued(redis, OURS, load.answers)
    forget_all(redis)
    return load


def _flood(port: int, deliveries: int) -> Plan:
    return Plan(port, BURST_CONNECTIONS, warm_up=0, seconds=PATIENCE, most=deliveries)


def _steady(load: Load) -> Steady:
    return Steady(load.p50_ms, load.p99_ms, load.slowest_ms)


def _largest_process(process_id: int) -> float:
    """Resident memory of the largest of gunicorn's processes, in MiB."""
    return max(_resident(child) for child in _with_children(process_id)) / MEBIBYTE


def _with_children(process_id: int) -> Iterator[int]:
    yield process_id
    for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split():
        yield from _with_children(int(child))


def _resident(process_id: int) -> int:
    """https://man7.org/linux/man-pages/man5/proc_pid_status.5.html: VmRSS, in KiB."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIBIBYTE for line in lines if line.startswith("VmRSS:"))
