"""The folder that a receiver's processes count in goes with them, also where they are killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.observability.metrics import SHARED_FOLDER, TIME_TO_LOCK, SharedMetricsFolder

PROCESS = """
from receiver.observability.metrics import SharedMetricsFolder
figures = SharedMetricsFolder()
print(figures.folder, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(SHARED_FOLDER, "")
    return tmp_path


@contextmanager
def process(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """One that counts, and its folder."""
    command = [sys.executable, "-c", PROCESS]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        yield started, Path(started.stdout.readline().strip())
        started.kill()


def grows_old(folder: Path) -> None:
    moment = folder.stat().st_mtime - TIME_TO_LOCK
    os.utime(folder, (moment, moment))


def test_it_is_named_for_the_metrics_and_removed_in_the_end() -> None:
    figures = SharedMetricsFolder()
    assert os.environ[SHARED_FOLDER] == str(figures.folder)
    assert figures.folder.stat().st_mode & 0o777 == 0o700
    (figures.folder / "counter_1.db").touch()
    figures.remove()
    assert not figures.folder.exists()


def test_that_of_a_process_that_was_killed_is_removed_by_the_next(temporary: Path) -> None:
    with process(temporary) as (killed, folder):
        (folder / "counter_1.db").touch()
        grows_old(folder)
        killed.kill()
        killed.wait()
    assert folder.is_dir()
    figures = SharedMetricsFolder()
    assert [*temporary.iterdir()] == [figures.folder]


def test_that_of_a_living_process_is_left(temporary: Path) -> None:
    with process(temporary) as (_, folder):
        grows_old(folder)
        SharedMetricsFolder()
        assert folder.is_dir()


def test_one_that_is_being_made_is_left(temporary: Path) -> None:
    just_made = temporary / "apitraffic-metrics-new"
    just_made.mkdir()
    SharedMetricsFolder()
    assert just_made.is_dir()


def test_what_a_link_points_to_is_left(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    link = temporary / "apitraffic-metrics-link"
    link.symlink_to(elsewhere)
    os.utime(link, (0, 0), follow_symlinks=False)
    SharedMetricsFolder()
    assert (elsewhere / "file").exists()
