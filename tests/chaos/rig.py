"""Everything that is broken here: Redis, Events API, receiver and workers, each a real process of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import requests
from redis import Redis
from rq import Queue

from receiver.datastore.address import connect
from receiver.delivery.budget import PAUSE
from receiver.queue.queues import delivery_queues
from tests.support.local_api import LocalApi, running_local_api
from tests.support.programs import Program
from tests.support.redis import RedisProcess, redis_process

SECRETS: Final = MappingProxyType(
    {
        "GITHUB_WEBHOOK_SECRET": "chaos-github-webhook-secret",
        "GITLAB_WEBHOOK_TOKEN": "chaos-gitlab-webhook-token",
        "JENKINS_WEBHOOK_TOKEN": "chaos-jenkins-webhook-token",
        "PAGERDUTY_WEBHOOK_SECRET": "chaos-pagerduty-webhook-secret",
        "EVENTS_WEBHOOK_SECRET": "chaos-events-webhook-secret",
    }
)
CONFIGURATION: Final = """\
[delivery]
deployments = "span"
settle = {settle}

[jenkins]
deployments = "point"

[[route]]
match = {{ source = "gitlab" }}
buckets = ["Payments API"]

[[route]]
match = {{ source = "pagerduty" }}
environments = ["env456"]
"""
RECEIVER_PROCESSES: Final = 2


class Rig:
    """Nothing of receiver and workers runs until they are started."""

    def __init__(self, folder: Path, redis: RedisProcess, api: LocalApi, workers: int, settle: int) -> None:
        self.folder = folder
        self.redis_process = redis
        self.redis: Redis = connect(redis.url)
        self.api = api
        self.spool = folder / "spool" / "spool.sqlite"
        configuration = folder / "chaos.toml"
        configuration.write_text(CONFIGURATION.format(settle=settle))
        self._environment = {
            **SECRETS,
            "APITRAFFIC_CONFIG": str(configuration),
            "APITRAFFIC_SPOOL": str(self.spool),
            "APITRAFFIC_API_URL": api.url,
            "APITRAFFIC_API_TOKEN": api.token,
            "APITRAFFIC_ACCOUNT_SID": api.account_sid,
            "NO_PROXY": "*",
            "REDIS_URL": redis.url,
        }
        serve = ("serve", "--port", "0", "--workers", str(RECEIVER_PROCESSES))
        ready = r"receiver listens url=(?P<url>\S+)"
        self.receiver = Program(folder / "receiver.log", self._environment, *serve, ready=ready)
        self.workers = tuple(
            Program(
                folder / f"worker-{number}.log",
                self._environment,
                "worker",
                ready="worker started|Redis is away",
            )
            for number in range(1, workers + 1)
        )
        self.url = ""

    def start(self) -> None:
        self.start_receiver()
        for worker in self.workers:
            worker.start()

    def start_receiver(self) -> None:
        self.receiver.start()
        if self.receiver.announced is not None:
            self.url = self.receiver.announced["url"]

    def stop(self) -> None:
        """End all that was started here, in no particular order: nothing is measured any more."""
        for program in (self.receiver, *self.workers):
            program.kill()

    def receiver_processes(self) -> list[int]:
        """The ids of gunicorn's worker processes; none while it is down."""
        with suppress(OSError, AssertionError):
            pid = self.receiver.pid
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def events(self) -> list[dict[str, Any]]:
        """All that the API lists, all pages."""
        return self.api.events()

    def waiting(self) -> dict[str, int]:
        """What is spooled, queued, in work or put off, at one moment; only what there is."""
        counts: dict[str, int] = {}
        with self.redis.pipeline(transaction=True) as pipeline:
            names = []
            for queue in delivery_queues(self.redis):
                pipeline.llen(queue.key)
                pipeline.zcard(queue.started_job_registry.key)
                pipeline.zcard(queue.scheduled_job_registry.key)
                names += [f"{queue.name} {what}" for what in ("queued", "in work", "scheduled")]
            counts = dict(zip(names, pipeline.execute(), strict=True))
        return {name: number for name, number in counts.items() if number} | self._in_spool()

    def _in_spool(self) -> dict[str, int]:
        answer = requests.get(f"{self.url}/readyz", timeout=10).json()
        spooled = answer.get("spooled", 0) if answer.get("storage") == "redis" else -1
        return {"spooled": spooled} if spooled else {}

    def hasten(self) -> None:
        """Let everything that waits for another try be due now, and a line that is paused run."""
        self.redis.delete(PAUSE)
        for queue in delivery_queues(self.redis):
            registry = queue.scheduled_job_registry
            due = dict.fromkeys(registry.get_job_ids(cleanup=False), 1.0)
            if due:
                self.redis.zadd(registry.key, due, xx=True)

    def dead_letters(self) -> list[str]:
        return [_why(queue, job) for queue in delivery_queues(self.redis) for job in _failed(queue)]

    def ever_spooled(self) -> int:
        if not self.spool.exists():
            return 0
        with closing(sqlite3.connect(self.spool)) as database:
            row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'").fetchone()
        return int(row[0]) if row else 0

    def logged(self, words: str) -> int:
        """How often the workers' logs have these."""
        return sum(worker.log().count(words) for worker in self.workers)


@contextmanager
def running_rig(folder: Path, *api_options: str, workers: int = 2, settle: int = 30) -> Iterator[Rig]:
    """Redis and the local Events API run; the rest is started by who wants it and ended in any case."""
    folder.mkdir(parents=True, exist_ok=True)
    with redis_process(folder / "redis") as redis, running_local_api(folder, *api_options) as api:
        rig = Rig(folder, redis, api, workers, settle)
        try:
            yield rig
        finally:
            rig.stop()
            rig.redis.close()


def _failed(queue: Queue) -> list[str]:
    job_ids: list[str] = queue.failed_job_registry.get_job_ids(cleanup=False)
    return job_ids


def _why(queue: Queue, job_id: str) -> str:
    job = queue.fetch_job(job_id)
    result = job.latest_result() if job else None
    words = str(result.exc_string if result else "").strip().splitlines()
    return f"{job.description if job else job_id}: {words[-1] if words else 'no reason kept'}"
