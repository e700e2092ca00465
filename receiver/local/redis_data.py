"""Whether a server program can read the append-only data in a folder, which another one may have written.

The data begin with a snapshot (RDB), whose first bytes name its format. A server refuses a format that it
does not know, and advises to repair the file, which would destroy the data.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.local.errors import LocalModeError

FOLDER: Final = "appendonlydir"
"""Redis before 7 ignores this folder, and writes `appendonly.aof` beside it."""

HEADER: Final = re.compile(rb"(REDIS|VALKEY)(\d{3,4})")

NEWEST_FORMAT_OF_REDIS: Final = (((7, 4), 12), ((7, 2), 11), ((7, 0), 10))
"""By the version from which on Redis reads it. Versions newer than the first one may read more."""
NEWEST_FORMAT_OF_REDIS_IN_VALKEY: Final = 11
FORMATS_OF_VALKEY_SINCE: Final = (9, 0)
"""Valkey 8 and older write the format of Redis 7.2."""


@dataclass(frozen=True)
class ServerVersion:
    """`name` is Redis or Valkey; `version` its first two numbers."""

    name: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} {self.version[0]}.{self.version[1]}"

    @classmethod
    def of(cls, program: Path) -> "ServerVersion":
        """Asks the program; raises LocalModeError if it does not say."""
        arguments = [str(program), "--version"]
        output = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own
        match = re.match(r"(Redis|Valkey) server v=(\d+)\.(\d+)", output)
        if match is None:
            raise LocalModeError(f"{program} --version does not print a version: {output.strip()!r}")
        return cls(match[1], (int(match[2]), int(match[3])))

    def reads(self, writer: str, data_format: int) -> bool:
        """Whether this server reads data of this format of `writer`, which is Redis or Valkey."""
        if writer == "Valkey":
            return self.name == "Valkey" and self.version >= FORMATS_OF_VALKEY_SINCE
        if self.name == "Valkey":
            return data_format <= NEWEST_FORMAT_OF_REDIS_IN_VALKEY
        (newest, _), *_ = NEWEST_FORMAT_OF_REDIS
        known = next((known for since, known in NEWEST_FORMAT_OF_REDIS if self.version >= since), 0)
        return data_format <= known or self.version > newest


def require_readable(folder: Path, program: Path) -> None:
    """Raises LocalModeError if this program cannot read the data in `folder`, and says which one can."""
    if not (folder / FOLDER).is_dir():
        return
    server = ServerVersion.of(program)
    writer, data_format = _written_by(folder / FOLDER)
    if not server.reads(writer, data_format):
        raise LocalModeError(
            f"{folder} contains data of {_servers_that_read(writer, data_format)}, which {program} ({server})"
            " cannot read. Install that server again, or move the folder away. Do not repair the files: that"
            " would destroy the data."
        )


def _written_by(folder: Path) -> tuple[str, int]:
    """The writer and format of the newest snapshot; Redis 7.0 if there is none."""
    for file in sorted(folder.glob("*.base.rdb"), key=lambda file: file.stat().st_mtime, reverse=True):
        with file.open("rb") as opened:
            match = HEADER.match(opened.read(9))
        if match is not None:
            return match[1].decode().capitalize(), int(match[2])
    return "Redis", NEWEST_FORMAT_OF_REDIS[-1][1]


def _servers_that_read(writer: str, data_format: int) -> str:
    if writer == "Valkey":
        return "Valkey 9 or newer"
    since = next((since for since, known in reversed(NEWEST_FORMAT_OF_REDIS) if known >= data_format), None)
    redis = f"Redis {since[0]}.{since[1]} or newer" if since else "a newer Redis"
    return redis if data_format > NEWEST_FORMAT_OF_REDIS_IN_VALKEY else f"{redis}, or of Valkey"
