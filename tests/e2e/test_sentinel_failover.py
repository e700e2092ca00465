"""Three receivers, three workers, and the Redis master dies under load: 2xx means listed exactly once."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from redis import Redis

from receiver.datastore.address import connect
from tests.support.github import SECRET, deployment_status, post
from tests.support.local_api import LocalApi, running_local_api
from tests.support.programs import Program
from tests.support.sentinel import PASSWORD, RedisGroup, running_group
from tests.support.stack import SETTLE, is_idle
from tests.support.waiting import wait_until

BEFORE = 30
AFTER = 30
LIMIT = 1_500
SENDERS = 3
PACE = 0.05
"""Seconds between two deliveries of a sender; some hundred are under way while the master changes."""


class Load:
    """Senders that post deployments of their own until told to stop, and keep what they got a 2xx for."""

    def __init__(self, urls: list[str]) -> None:
        self.accepted: dict[int, str] = {}
        self.errors: list[str] = []
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number, url)) for number, url in enumerate(urls)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self, number: int, url: str) -> None:
        for deployment in range(number, LIMIT, SENDERS):
            if self._stopped.wait(PACE):
                return
            try:
                answer = post(url, deployment_status(deployment))
            except requests.RequestException as error:
                self.errors.append(repr(error))
            else:
                if answer.ok:
                    self.accepted[deployment] = answer.json()["status"]
                else:
                    self.errors.append(f"{answer.status_code} {answer.text}")


def listed(api: LocalApi) -> Counter[str]:
    return Counter(event["metadata"]["marker_key"] for event in api.events())


@contextmanager
def running(folder: Path, group: RedisGroup, api: LocalApi) -> Iterator[tuple[list[Program], list[Program]]]:
    """Three receivers and three workers, each receiver with a spool of its own as on a host of its own."""
    configuration = folder / "apitraffic.toml"
    configuration.write_text(f"[delivery]\nsettle = {SETTLE}\n")
    environment = {
        "APITRAFFIC_CONFIG": str(configuration),
        "REDIS_URL": group.url,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }
    receivers = [
        Program(
            folder / f"receiver-{number}.log",
            environment | {"APITRAFFIC_SPOOL": str(folder / f"spool-{number}.sqlite")},
            *("serve", "--port", "0", "--workers", "1"),
            ready=r"receiver listens url=(?P<url>\S+)",
        )
        for number in range(3)
    ]
    workers = [
        Program(folder / f"worker-{number}.log", environment, "worker", ready="worker started")
        for number in range(3)
    ]
    with ExitStack() as stack:
        for program in (*receivers, *workers):
            stack.callback(program.kill)
            program.start()
        yield receivers, workers


@pytest.mark.timeout(240)  # its waits alone may take 210
def test_what_was_accepted_is_listed_exactly_once_when_the_master_dies(tmp_path: Path) -> None:
    with (
        running_group(tmp_path) as group,
        running_local_api(tmp_path) as api,
        running(tmp_path, group, api) as (receivers, workers),
    ):
        urls = [receiver.announced["url"] for receiver in receivers if receiver.announced]
        load = Load(urls)
        load.start()
        try:
            wait_until(lambda: len(load.accepted) >= BEFORE, "the load to run")
            old = group.kill_master()
            wait_until(lambda: group.master() != old, "the sentinels to name another master", 30)
            seen = len(load.accepted)
            wait_until(lambda: len(load.accepted) >= seen + AFTER, "the load to go on", 30)
        finally:
            load.stop()
        logs = "\n".join(program.log()[-1500:] for program in receivers)
        wait_until(lambda: not any(spooled(url) for url in urls), f"the spools to drain\n{logs}", 30)
        redis = connect(group.url)
        wait_until(
            lambda: is_idle(redis) and sum(listed(api).values()) >= len(load.accepted),
            lambda: describe(redis, api, load, workers),
            60,
        )
        redis.close()
        assert listed(api) == Counter(f"github:deployment:{number}" for number in load.accepted)
        assert load.errors == []
        assert PASSWORD not in "".join(program.log() for program in (*receivers, *workers))


def describe(redis: Redis, api: LocalApi, load: Load, workers: list[Program]) -> str:
    logs = "\n".join(worker.log()[-1500:] for worker in workers)
    counts = f"{sum(listed(api).values())} of {len(load.accepted)} markers are listed"
    return f"{counts}, the queue is {'' if is_idle(redis) else 'not '}empty\n{logs}"


def spooled(url: str) -> int:
    return int(requests.get(f"{url}/readyz", timeout=10).json()["spooled"])


def test_what_no_replica_has_is_not_yet_trusted_to_redis(tmp_path: Path) -> None:
    with running_group(tmp_path) as group, running_local_api(tmp_path) as api:
        master = group.master()
        for port, process in group.servers.items():
            if port != master:
                process.kill()
                process.wait()
        with running(tmp_path, group, api) as (receivers, _):
            assert receivers[0].announced
            url = receivers[0].announced["url"]
            assert post(url, deployment_status(1)).status_code == 202
            readiness = requests.get(f"{url}/readyz", timeout=10).json()
            assert (readiness["storage"], readiness["spooled"]) == ("spool", 1)
            assert "0 of 1 replicas confirmed" in receivers[0].log()
