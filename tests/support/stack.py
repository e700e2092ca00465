"""All parts of the product, each a real process, wired as in production."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis import Redis

from receiver.datastore.address import connect
from receiver.queue.queues import delivery_queues
from tests.support.github import SECRET
from tests.support.local_api import LocalApi, running_local_api
from tests.support.programs import Program, stop_all
from tests.support.redis import RedisProcess, redis_process

SETTLE: Final = 2
"""Seconds; where a test kills something in the middle of a request, the next attempt waits for so long."""


class Stack:
    """`receiver` and `worker` are started by those who need them, with `start()`."""

    def __init__(self, folder: Path, redis_process: RedisProcess, api: LocalApi) -> None:
        self._folder = folder
        self.api = api
        self.redis_process = redis_process
        self.redis: Redis = connect(redis_process.url)
        configuration = folder / "stack.toml"
        configuration.write_text(f"[delivery]\nsettle = {SETTLE}\n")
        self.environment = {
            "APITRAFFIC_CONFIG": str(configuration),
            "REDIS_URL": redis_process.url,
            "APITRAFFIC_SPOOL": str(folder / "spool.sqlite"),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "APITRAFFIC_API_URL": api.url,
            "APITRAFFIC_API_TOKEN": api.token,
            "APITRAFFIC_ACCOUNT_SID": api.account_sid,
        }
        self.receiver = Program(
            folder / "receiver.log",
            self.environment,
            *("serve", "--port", "0", "--workers", "2"),
            ready=r"receiver listens url=(?P<url>\S+)",
        )
        self.worker = Program(folder / "worker.log", self.environment, "worker", ready=r"worker started")

    def program(self, *arguments: str, ready: str) -> Program:
        """One more of the product's commands, to be started and stopped by the test."""
        return Program(self._folder / f"{arguments[0]}-2.log", self.environment, *arguments, ready=ready)

    @property
    def url(self) -> str:
        assert self.receiver.announced is not None
        return self.receiver.announced["url"]

    def events(self) -> list[dict[str, Any]]:
        """All events that the API lists."""
        return self.api.events()

    def is_idle(self) -> bool:
        return is_idle(self.redis)


def is_idle(redis: Redis) -> bool:
    """Nothing is queued, in work or waiting for another try; asked in one step, for jobs move."""
    with redis.pipeline() as pipeline:
        for queue in delivery_queues(redis):
            pipeline.llen(queue.key)
            pipeline.zcard(queue.started_job_registry.key)
            pipeline.zcard(queue.scheduled_job_registry.key)
        return not any(pipeline.execute())


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Redis and the local Events API run; receiver and worker are stopped at the end if they do."""
    with redis_process(folder / "redis") as redis, running_local_api(folder) as api:
        stack = Stack(folder, redis, api)
        try:
            yield stack
        finally:
            stop_all(stack.receiver, stack.worker)
            stack.redis.close()
