"""A Redis that takes TLS only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from receiver.local.redis_server import find_redis_server
from tests.support.certificates import Authority
from tests.support.ports import held_ports
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class TlsRedis:
    """What a client needs: where it is, and certificates that the server's authority has signed."""

    port: int
    authority: Path
    client_certificate: Path
    client_key: Path

    @property
    def url(self) -> str:
        return f"{self.url_with(self.authority)}&{self.of_client}"

    @property
    def of_client(self) -> str:
        return f"ssl_certfile={self.client_certificate}&ssl_keyfile={self.client_key}"

    def url_with(self, authority: Path, host: str = "127.0.0.1") -> str:
        return f"rediss://{host}:{self.port}/0?ssl_ca_certs={authority}"


@dataclass(frozen=True)
class TlsGroup:
    """The ports of a master and of the sentinel that names it."""

    master: int
    sentinel: int
    authority: Path

    def url_of(self, port: int) -> str:
        return f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={self.authority}"


@contextmanager
def running_tls_redis(folder: Path, *, asks_clients: bool) -> Iterator[TlsRedis]:
    """Append-only, on 127.0.0.1; `asks_clients` for a certificate of theirs."""
    folder.mkdir()
    authority = Authority(folder, "authority")
    (certificate, key), client = authority.issue("server"), authority.issue("client")
    with held_ports(1) as (port,):
        settings = [
            *("port 0", f"tls-port {port}", "bind 127.0.0.1", f"dir {folder}", "appendonly yes"),
            *(f"tls-cert-file {certificate}", f"tls-key-file {key}", "logfile o.log"),
            f"tls-ca-cert-file {authority.certificate}",
            f"tls-auth-clients {'yes' if asks_clients else 'no'}",
        ]
        process = _start_with(folder / "redis.conf", settings)
        server = TlsRedis(port, authority.certificate, *client)
        try:
            with Redis.from_url(server.url) as redis:
                wait_until(lambda: _answers(redis, process, folder / "redis.output"), "Redis answers by TLS")
            yield server
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_tls_group(folder: Path, service: str) -> Iterator[TlsGroup]:
    """A master, its replica and a sentinel that watches them; all speak TLS only, also to each other."""
    folder.mkdir()
    authority = Authority(folder, "authority")
    certificate, key = authority.issue("server")
    tls = [
        *("port 0", "bind 127.0.0.1", "tls-replication yes", "tls-auth-clients no", f"dir {folder}"),
        *(f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {authority.certificate}"),
    ]
    with ExitStack() as stack:
        master, replica, sentinel = stack.enter_context(held_ports(3))
        group = TlsGroup(master, sentinel, authority.certificate)
        of_servers = ['save ""', "repl-diskless-sync-delay 0"]
        roles = {
            master: [*tls, *of_servers],
            replica: [*tls, *of_servers, f"replicaof 127.0.0.1 {master}"],
            sentinel: [*tls, f"sentinel monitor {service} 127.0.0.1 {master} 1"],
        }
        for port, settings in roles.items():
            mode = ["--sentinel"] if port == sentinel else []
            settings += [f"tls-port {port}", f"logfile {port}.log"]
            file = folder / f"{port}.conf"
            process = _start_with(file, settings, *mode)
            stack.callback(process.wait)
            stack.callback(process.kill)
            redis = stack.enter_context(Redis.from_url(group.url_of(port)))
            wait_until(
                partial(_answers, redis, process, file.with_suffix(".output")), f"{port} answers by TLS"
            )
        yield group


def _start_with(file: Path, settings: list[str], *mode: str) -> subprocess.Popen[bytes]:
    file.write_text("\n".join(settings) + "\n")
    with file.with_suffix(".output").open("w") as output:
        return subprocess.Popen([str(find_redis_server()), str(file), *mode], stdout=output, stderr=output)


def _answers(redis: Redis, process: subprocess.Popen[bytes], output: Path) -> bool:
    """Skips the test, or fails it where tools are required, if this Redis was built without TLS."""
    if process.poll() is not None:
        log = output.with_suffix(".log")
        words = output.read_text() + (log.read_text() if log.exists() else "")
        assert "Bad directive" in words or "Failed finding TLS support" in words, words
        reason = "this redis-server was built without TLS; apt-get install redis-server"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        return bool(redis.ping())
    except RedisError:
        return False
