"""The disks that tests use, all in memory.

`python -m tests.support.disks` prints the folder for the files of a whole run.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - pytest makes a folder in it that only this user may read
ROOM_FOR_A_RUN: Final = 2 * 1024**3
"""Bytes. A run keeps some 120 MB, and promtool reserves 512 MB for each block that it writes, which two tests
may let it do at once."""
PIECE = b"\0" * 512


class CannotMount(Exception):
    """This user may not mount a file system."""


@contextmanager
def small_disk(folder: Path, mebibytes: int = 2) -> Iterator[Path]:
    """A new folder on a disk of this size. Raises `CannotMount`."""
    folder.mkdir()
    options = f"size={mebibytes}m,mode=700,uid={os.getuid()},gid={os.getgid()}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    prefix: list[str] = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        subprocess.run([*prefix, *mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        folder.rmdir()
        raise CannotMount("this user may not mount a file system, so no disk is filled") from error
    try:
        yield folder
    finally:
        # Lazily: something may still have a file open there.
        subprocess.run([*prefix, "umount", "-l", str(folder)], check=True)


def folder_for_temporary_files() -> Path:
    """In memory: on a disk, a run waits some 70,000 times until Redis or SQLite have synced it.

    Elsewhere if TMPDIR says so, if there is not enough room, or if programs may not be run from there, which
    many containers forbid.
    """
    if "TMPDIR" in os.environ:
        return Path(tempfile.gettempdir())
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return Path(tempfile.gettempdir())
    fits = found.f_bavail * found.f_frsize >= ROOM_FOR_A_RUN
    forbids = found.f_flag & (os.ST_RDONLY | os.ST_NOEXEC)
    return SHARED_MEMORY if fits and not forbids else Path(tempfile.gettempdir())


def fill(folder: Path) -> Path:
    """Fill the disk of this folder to the last byte; returns the file that does."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while file.write(PIECE):
                pass
        except OSError:
            return filler
    return filler


if __name__ == "__main__":
    print(folder_for_temporary_files())  # noqa: T201 - for the Makefile
