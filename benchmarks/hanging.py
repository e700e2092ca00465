"""While Redis hangs: connections are taken and nothing is answered, as on a frozen virtual machine."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import requests
from redis import Redis

from benchmarks.accepting import OURS, Serving, forget_all, serving
from benchmarks.deliveries import DELIVERY_ID, PATH, new_delivery_id, signed_bodies
from benchmarks.processes import BenchmarkError, Launcher
from receiver.local.stack import LOOPBACK

SENDERS: Final = 16
SECONDS: Final = 8.0
PAUSE: Final = 0.02
"""Seconds between two requests for the health of the process."""
TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Hanging:
    """Times in milliseconds."""

    healthz_p99_ms: float
    healthz_slowest_ms: float
    posts: int
    post_p50_ms: float
    post_slowest_ms: float


def hang(launcher: Launcher, redis: Redis, how: Serving, name: str = OURS) -> Hanging:
    """Senders that each send one delivery after another. Raises `BenchmarkError` if one is refused."""
    forget_all(redis)
    process_id = int(redis.info("server")["process_id"])
    with serving(launcher, name, how) as (port, _), ThreadPoolExecutor(SENDERS) as pool:
        url = f"http://{LOOPBACK}:{port}"
        _post_until(url, time.monotonic() + 1)
        with _stopped(process_id):
            until = time.monotonic() + SECONDS
            sending = [pool.submit(_post_until, url, until) for _ in range(SENDERS)]
            health = sorted(_healthz_until(url, until))
            posts = sorted(taken for each in sending for taken in each.result())
    return Hanging(
        healthz_p99_ms=1000 * health[len(health) * 99 // 100],
        healthz_slowest_ms=1000 * health[-1],
        posts=len(posts),
        post_p50_ms=1000 * posts[len(posts) // 2],
        post_slowest_ms=1000 * posts[-1],
    )


@contextmanager
def _stopped(process_id: int) -> Iterator[None]:
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


def _post_until(url: str, until: float) -> list[float]:
    taken = []
    with requests.Session() as session:
        for signed in islice(signed_bodies(), 100_000):
            began = time.monotonic()
            if began >= until:
                break
            headers = signed.headers | {DELIVERY_ID: new_delivery_id()}
            answer = session.post(url + PATH, data=signed.body, headers=headers, timeout=TIMEOUT)
            if not answer.ok:
                raise BenchmarkError(f"a delivery was refused while Redis hung: {answer.text}")
            taken.append(time.monotonic() - began)
            time.sleep(PAUSE)
    return taken


def _healthz_until(url: str, until: float) -> Iterator[float]:
    while (began := time.monotonic()) < until:
        requests.get(f"{url}/healthz", timeout=TIMEOUT).raise_for_status()
        yield time.monotonic() - began
        time.sleep(PAUSE)
