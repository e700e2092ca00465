"""A disk that a test can fill: a small file system of its own, in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
