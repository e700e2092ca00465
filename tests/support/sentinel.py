"""Three Redis, one of them the master, and three sentinels that agree on which, as processes on loopback."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from receiver.local.redis_server import find_redis_server
from tests.support.ports import held_cluster_port, held_ports
from tests.support.processes import started
from tests.support.waiting import wait_until

SERVICE = "markers"
PASSWORD = "a-redis-password-of-the-tests"


class RedisGroup:
    """`servers` holds each Redis by its port, and its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.sentinels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}"

    def start(self, ports: list[int]) -> None:
        """At these six ports."""
        first, *others = ports
        replicas, sentinels = others[:2], others[2:]
        self._start_server(first, "")
        for port in replicas:
            self._start_server(port, f"replicaof 127.0.0.1 {first}")
        wait_until(lambda: self._replicas_of(first) == len(replicas), "the replicas follow the master", 30)
        for port in sentinels:
            self._start_sentinel(port, first)
        wait_until(self._sentinels_agree, "the sentinels know each other and the replicas", 30)

    def master(self) -> int:
        """The port of the master that a majority of sentinels names."""
        named = [self._named_by(port) for port in self.sentinels]
        return max(set(named), key=named.count)

    def kill_master(self) -> int:
        """SIGKILL, with no farewell to anybody; gives its port."""
        port = self.master()
        self.servers[port].kill()
        self.servers[port].wait()
        return port

    def stop(self) -> None:
        for process in (*self.sentinels.values(), *self.servers.values()):
            process.kill()
            process.wait()

    def _start_server(self, port: int, role: str) -> None:
        folder = self._folder / f"redis-{port}"
        settings = ["appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0", role]
        settings += [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}"]
        self.servers[port] = self._run("redis-server", folder, port, settings)
        with _client(port) as redis:
            wait_until(lambda: _answers(redis), f"Redis {port} answers")

    def _start_sentinel(self, port: int, master: int) -> None:
        settings = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
            f"sentinel auth-pass {SERVICE} {PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 6000",
        ]
        folder = self._folder / f"sentinel-{port}"
        self.sentinels[port] = self._run("redis-sentinel", folder, port, settings)
        with _client(port, None) as redis:
            wait_until(lambda: _answers(redis), f"sentinel {port} answers")

    def _run(self, program: str, folder: Path, port: int, settings: list[str]) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True)
        own = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", 'save ""', "logfile output.log"]
        if program == "redis-sentinel":
            own.remove('save ""')
        file = folder / "redis.conf"
        file.write_text("\n".join([*own, *settings]) + "\n")
        return subprocess.Popen([program, str(file)])

    def _replicas_of(self, port: int) -> int:
        with _client(port) as redis:
            replication = redis.info("replication")
            names = [name for name in replication if name.startswith("slave")]
            return sum(
                isinstance(replication[name], dict) and replication[name]["state"] == "online"
                for name in names
            )

    def _sentinels_agree(self) -> bool:
        for port in self.sentinels:
            with _client(port, None) as redis:
                state = redis.sentinel_master(SERVICE)
            if state["num-slaves"] < 2 or state["num-other-sentinels"] < 2:
                return False
        return True

    def _named_by(self, sentinel: int) -> int:
        with _client(sentinel, None) as redis:
            return int(redis.sentinel_get_master_addr_by_name(SERVICE)[1])


@contextmanager
def redis_server(folder: Path, settings: list[str]) -> Iterator[Redis]:
    """A client of one more Redis with these settings."""
    with held_cluster_port() as port:
        file = folder / "redis.conf"
        file.write_text(
            "\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *settings, "logfile o.log\n"])
        )
        with started([find_redis_server(), file]), _client(port, None) as redis:
            wait_until(lambda: _answers(redis), "Redis answers")
            yield redis


@contextmanager
def running_group(folder: Path) -> Iterator[RedisGroup]:
    missing = [name for name in ("redis-server", "redis-sentinel") if shutil.which(name) is None]
    if missing:
        reason = f"{' and '.join(missing)} not found; apt-get install redis-server redis-sentinel"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    group = RedisGroup(folder)
    with held_ports(6) as ports, ExitStack() as stack:
        stack.callback(group.stop)
        group.start(ports)
        yield group


def _client(port: int, password: str | None = PASSWORD) -> Redis:
    return Redis(port=port, password=password, socket_timeout=2)


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
