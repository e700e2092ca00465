import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.local.data_folder import DataFolder
from receiver.local.errors import LocalModeError
from tests.support.processes import started

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from receiver.local.data_folder import DataFolder
with DataFolder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_it_is_for_this_user_only_and_not_for_git(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / ".apitraffic")
    with folder.locked():
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert (folder.path / ".gitignore").read_text() == "*\n"


def test_a_second_run_is_told_who_has_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with (
        folder.locked(),
        pytest.raises(LocalModeError, match=f"in use by process {os.getpid()}"),
        DataFolder(tmp_path).locked(),
    ):
        pass
    with DataFolder(tmp_path).locked():
        pass


def test_a_killed_run_does_not_keep_it(tmp_path: Path) -> None:
    with started(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(LocalModeError, match=f"in use by process {holder.pid}"),
            DataFolder(tmp_path).locked(),
        ):
            pass
        holder.kill()
        holder.wait()
    with DataFolder(tmp_path).locked():
        pass


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalModeError, match=r"cannot be used: Not a directory.*--data-dir"):
        DataFolder(tmp_path / "file" / "data").make()


def test_a_secret_is_made_once_and_readable_by_this_user_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.read_secret("GITHUB_WEBHOOK_SECRET") is None

    secret = folder.secret("GITHUB_WEBHOOK_SECRET")

    path = folder.secret_path("GITHUB_WEBHOOK_SECRET")
    assert len(secret) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert folder.secret("GITHUB_WEBHOOK_SECRET") == secret
    assert DataFolder(tmp_path).read_secret("GITHUB_WEBHOOK_SECRET") == secret
    assert folder.secret("APITRAFFIC_API_TOKEN") != secret


def test_a_secret_file_that_is_empty_counts_as_missing(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    path = folder.secret_path("GITHUB_WEBHOOK_SECRET")
    path.parent.mkdir()
    path.touch()
    assert folder.read_secret("GITHUB_WEBHOOK_SECRET") is None
    assert folder.secret("GITHUB_WEBHOOK_SECRET")
