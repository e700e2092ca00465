"""Where a run of the tests writes its temporary files."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.disks import ROOM_FOR_A_RUN, SHARED_MEMORY, folder_for_temporary_files

PAGE = 4096
ENOUGH = ROOM_FOR_A_RUN // PAGE
Mount = Callable[..., None]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def shared_memory(monkeypatch: pytest.MonkeyPatch) -> Mount:
    """Lets the kernel say this of it."""

    def mount(pages: int = ENOUGH, flags: int = 0) -> None:
        found = SimpleNamespace(f_bavail=pages, f_frsize=PAGE, f_flag=flags)
        monkeypatch.setattr(os, "statvfs", {SHARED_MEMORY: found}.__getitem__)

    return mount


def test_in_memory_if_there_is_room(elsewhere: Path, shared_memory: Mount) -> None:
    shared_memory()
    assert folder_for_temporary_files() == SHARED_MEMORY


def test_elsewhere_if_there_is_not_enough_room(elsewhere: Path, shared_memory: Mount) -> None:
    shared_memory(pages=ENOUGH - 1)
    assert folder_for_temporary_files() == elsewhere


@pytest.mark.parametrize("flag", [os.ST_RDONLY, os.ST_NOEXEC])
def test_elsewhere_if_programs_cannot_be_put_there(elsewhere: Path, shared_memory: Mount, flag: int) -> None:
    shared_memory(flags=flag)
    assert folder_for_temporary_files() == elsewhere


def test_elsewhere_if_the_system_has_no_such_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.disks.SHARED_MEMORY", elsewhere / "missing")
    assert folder_for_temporary_files() == elsewhere


def test_elsewhere_if_its_user_says_so(
    elsewhere: Path, shared_memory: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_memory()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    assert folder_for_temporary_files() == elsewhere
