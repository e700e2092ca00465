"""What the log of deliveries adds to an accept, in processor time: in Python, and in Redis.

`python -m benchmarks.noting`. The same deliveries are queued with and without the log, in turns. An accept is
taken to be translation and queueing; HTTP would only make the share smaller.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

from redis import Redis

from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.datastore.scripts.runner import Script
from receiver.events import Change
from receiver.local.sample_deliveries import SampleDelivery, sample_deliveries
from receiver.queue import delivery_log, enqueueing
from receiver.queue.enqueueing import Enqueuer
from receiver.sources import SOURCES
from receiver.sources.signing import SENDERS
from receiver.translation import translate_and_route
from tests.support.redis import running_redis

DELIVERIES: Final = 300
TURNS: Final = 40


class Silent:
    """Stands for an entry that nobody writes."""

    def to_text(self) -> str:
        return ""


class WithoutLog(Enqueuer):
    """Queues as before there was a log."""

    def _script_for(self, example: Change) -> Script:
        script = super()._script_for(example)
        calls = [line for line in script.text.splitlines() if not line.strip().startswith("note_delivery(")]
        script.__dict__["text"] = "\n".join(calls)  # a cached property
        return script


def main() -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {TURNS} turns of {DELIVERIES}")
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name,
        running_redis(Path(name)) as url,
        connect(url) as redis,
    ):
        found: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
        for turn in range(TURNS):
            for kind in sorted(found, reverse=bool(turn % 2)):
                redis.flushall()
                found[kind].append(measured(redis, kind))
    for place, label in enumerate(("Python", "Redis")):
        for kind, times in found.items():
            values = [one[place] for one in times]
            print(f"{label:<7} {kind:<8} {min(values):6.1f} µs at best, {median(values):6.1f} in the middle")
    whole = {kind: min(map(sum, times)) for kind, times in found.items()}
    added = whole["with"] - whole["without"]
    print(f"the log adds {added:.1f} µs to {whole['without']:.0f}: {added / whole['without']:.1%} at best")


def measured(redis: Redis, kind: str) -> tuple[float, float]:
    """Microseconds a delivery takes in Python and in Redis."""
    enqueuer = Enqueuer(redis) if kind == "with" else WithoutLog(redis)
    requests = [headers_and_body(number) for number in range(DELIVERIES)]
    source = SOURCES["github"]
    options = source.options(deployments="point")
    note = delivery_log.entry_of if kind == "with" else silent
    with patch.object(enqueueing, "entry_of", note):
        redis_before, before = redis_seconds(redis), time.process_time()
        for headers, body in requests:
            meaning = translate_and_route(source, source.receive(headers, body, now()), options, ())
            enqueuer.enqueue(getattr(meaning, "changes", ()))
        seconds = time.process_time() - before
    return seconds / DELIVERIES * 1e6, (redis_seconds(redis) - redis_before) / DELIVERIES * 1e6


def silent(_changes: Sequence[Change]) -> Silent:
    return Silent()


def headers_and_body(number: int) -> tuple[dict[str, str], bytes]:
    sample = SAMPLE
    headers = SENDERS["github"].headers("secret", sample.event, sample.body, f"delivery-{number}")
    return {name.lower(): value for name, value in headers.items()}, sample.body


def redis_seconds(redis: Redis) -> float:
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


SAMPLE: Final[SampleDelivery] = sample_deliveries(now())[-1]


if __name__ == "__main__":
    main()
