"""What the figures were measured on; without that they mean nothing."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

PACKAGES: Final = ("apitraffic-events", "flask", "gunicorn", "pydantic", "redis", "rq", "structlog")
SYNCS: Final = 50


@dataclass(frozen=True, slots=True)
class Machine:
    date: str
    processor: str
    cores: int
    """That this process may use."""
    load: float
    """Of the last minute, before the start: what else the machine was doing."""
    system: str
    python: str
    packages: Mapping[str, str]
    redis_server: str
    append_fsync: str
    sync_us: float
    """Median time in microseconds that the disk under Redis takes to keep a few bytes."""


def machine(redis: Redis, data: Path) -> Machine:
    is_append_only = redis.config_get("appendonly")["appendonly"] == "yes"
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load=os.getloadavg()[0],
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version(name) for name in PACKAGES},
        redis_server=redis.info("server")["redis_version"],
        append_fsync=str(redis.config_get("appendfsync")["appendfsync"]) if is_append_only else "off",
        sync_us=_sync_us(data / "sync"),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _sync_us(path: Path) -> float:
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"0" * 512)
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return 1e6 * median(taken)
