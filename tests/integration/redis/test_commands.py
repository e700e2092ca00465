"""RQ's commands reach a worker as long as it runs, whatever its Redis did meanwhile."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from redis.exceptions import NoPermissionError, OutOfMemoryError, ResponseError
from rq.command import send_command
from structlog.testing import capture_logs
from structlog.typing import EventDict

from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.worker import command_listener
from receiver.worker.command_listener import CommandListener
from receiver.worker.worker import DeliveryWorker
from tests.support.redis import RedisProcess, redis_process
from tests.support.waiting import wait_until

HANGS_AFTER = 0.1
"""Seconds."""
Logs = list[EventDict]


class Worker(DeliveryWorker):
    """Listens, and notes what it hears. `failure` is raised by the first command."""

    failure: Exception | None = None

    def handle_payload(self, message: dict[str, bytes]) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self.heard = message["data"]

    def listens(self) -> bool:
        (found,) = self.connection.pubsub_numsub(self.pubsub_channel_name)
        return bool(found[1])

    def hears(self) -> bool:
        send_command(self.connection, self.name, "shutdown")
        return hasattr(self, "heard")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with redis_process(tmp_path / "redis") as process:
        yield process


@pytest.fixture
def worker(redis: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """It listens; at the end, it stops."""
    monkeypatch.setattr(command_listener, "PAUSE", HANGS_AFTER)
    with connect(redis.url) as client:
        worker = Worker(client, RequestBudget(client))
        worker.subscribe()
        connection: Any = vars(worker.pubsub)["connection"]
        connection.socket_timeout = HANGS_AFTER  # RQ has made it 25 s.
        wait_until(worker.listens, "it listens")
        yield worker
        worker.unsubscribe()
        wait_until(lambda: not worker.listens(), "it listens no more")


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Of all levels; a command that an earlier test has run may have left lower ones out."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with capture_logs() as logs:
        yield logs
    structlog.configure(**before)


@contextmanager
def hanging_server(redis: RedisProcess) -> Iterator[None]:
    """In its place one that is there and answers nothing."""
    path = urlsplit(redis.url).path
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        yield


def reasons(logs: Logs, level: str) -> list[str]:
    return [str(entry["reason"]) for entry in list(logs) if entry["log_level"] == level]


def test_after_a_redis_that_hung_when_the_worker_connected_again(
    redis: RedisProcess, worker: Worker, logs: Logs
) -> None:
    redis.kill()
    with hanging_server(redis):
        wait_until(lambda: any("Timeout" in reason for reason in reasons(logs, "debug")), "it hangs")
    redis.start()
    wait_until(worker.hears, "it hears a command")
    assert not reasons(logs, "warning"), "the worker itself says that Redis is away"


@pytest.mark.parametrize(
    "refusal", [OutOfMemoryError("used memory > 'maxmemory'"), NoPermissionError("has no permissions")]
)
def test_after_a_redis_that_refused_the_subscription(
    worker: Worker, logs: Logs, refusal: ResponseError
) -> None:
    """Redis 8.6 does at `maxmemory`, unlike older ones."""
    worker.failure = refusal
    wait_until(worker.hears, "it hears a command")
    (reason,) = reasons(logs, "warning")
    assert str(refusal) in reason


def test_after_a_command_that_failed(worker: Worker, logs: Logs) -> None:
    worker.failure = ValueError("no JSON")
    wait_until(worker.hears, "it hears the next one")
    (entry,) = logs
    assert str(entry["exc_info"]) == "no JSON"


def listeners() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, CommandListener)}


def test_a_worker_that_stops_at_once_leaves_no_thread(redis: RedisProcess) -> None:
    """RQ's thread goes on for ever if it is stopped before it runs."""
    before = listeners()
    with connect(redis.url) as client:
        for _ in range(20):
            worker = Worker(client, RequestBudget(client))
            worker.subscribe()
            worker.unsubscribe()
    wait_until(lambda: listeners() <= before, "all end")
