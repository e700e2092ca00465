"""What `up` notes of what it runs, and when other commands believe it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.local.data_folder import DataFolder
from receiver.local.redis_server import RedisServer
from receiver.local.running import NAME, noted, running_in
from receiver.local.stack import LocalStack


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    """In use, as by `up`."""
    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        yield folder


def stack(folder: DataFolder, *, redis: str | None = None, api_port: int | None = 8800) -> LocalStack:
    return LocalStack(
        folder=folder,
        redis=redis or RedisServer(folder.redis, Path("redis-server")),
        host="127.0.0.1",
        port=8080,
        api_port=api_port,
        environment={},
        secrets={"GITHUB_WEBHOOK_SECRET": folder.secret("GITHUB_WEBHOOK_SECRET")},
    )


def test_no_secret_is_in_the_note_and_all_are_found_with_it(folder: DataFolder) -> None:
    token = folder.secret("APITRAFFIC_API_TOKEN")
    secret = folder.secret("GITHUB_WEBHOOK_SECRET")
    with noted(stack(folder)):
        text = (folder.path / NAME).read_text()
        assert token not in text
        assert secret not in text
        running = running_in(folder)
        assert running is not None
        assert running.receiver_url == "http://127.0.0.1:8080"
        assert running.settings["APITRAFFIC_API_URL"] == "http://127.0.0.1:8800/v1"
        assert running.settings["APITRAFFIC_API_TOKEN"] == token
        assert running.settings["GITHUB_WEBHOOK_SECRET"] == secret
        assert running.settings["REDIS_URL"].startswith("unix://")
    assert running_in(folder) is None


def test_a_redis_and_an_account_of_the_user_are_not_noted(folder: DataFolder) -> None:
    with noted(stack(folder, redis="redis://:a-password@redis.example/0", api_port=None)):
        assert "a-password" not in (folder.path / NAME).read_text()
        running = running_in(folder)
        assert running is not None
        assert running.settings.keys() == {"GITHUB_WEBHOOK_SECRET"}


def test_what_a_killed_run_has_left_is_not_believed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        (folder.path / NAME).write_text(json.dumps({"receiver_url": "", "settings": {}, "secrets": []}))
        assert running_in(folder) is not None
    assert running_in(folder) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 1, "secrets": [], "receiver_url": ""}'])
def test_a_note_that_cannot_be_read_is_none(folder: DataFolder, content: str) -> None:
    (folder.path / NAME).write_text(content)
    assert running_in(folder) is None


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert running_in(DataFolder(tmp_path / "nothing")) is None
