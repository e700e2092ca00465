"""The folder that outlives a local run: the data of Redis and the Events API, and this machine's secrets."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.local.errors import LocalModeError

DEFAULT_DATA_FOLDER: Final = Path(".apitraffic")
PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600


@dataclass(frozen=True)
class DataFolder:
    """Methods that touch the folder raise LocalModeError if it cannot be used."""

    path: Path = DEFAULT_DATA_FOLDER

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def events_api(self) -> Path:
        return self.path / "events-api.sqlite"

    def make(self) -> None:
        """Create the folder, for this user only. An existing folder is not changed."""
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=PRIVATE_FOLDER, parents=True)
                # The folder is in the user's project: git must not add the secrets.
                (self.path / ".gitignore").write_text("*\n", encoding="ascii")
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and lock it against other runs, for as long as this process lives."""
        self.make()
        try:
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._lock(lock)
            yield
        finally:
            os.close(lock)

    def secret_path(self, name: str) -> Path:
        return self.path / "secrets" / name

    def read_secret(self, name: str) -> str | None:
        """Return the secret that an earlier run has generated, if any."""
        with suppress(FileNotFoundError):
            return self.secret_path(name).read_text(encoding="ascii").strip() or None
        return None

    def secret(self, name: str) -> str:
        """Return the secret of this name; it is generated on first use."""
        if known := self.read_secret(name):
            return known
        value = secrets.token_urlsafe(32)
        path = self.secret_path(name)
        path.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        # Renamed when complete: a run that is killed half-way must not leave an empty secret.
        draft = path.with_name(f".{name}.draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w") as file:
            file.write(value + "\n")
        draft.replace(path)
        return value

    def _unusable(self, error: OSError) -> LocalModeError:
        return LocalModeError(
            f"The data folder {self.path} cannot be used: {error.strerror}. Choose another with --data-dir."
        )

    def _lock(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            process = f"process {owner}" if owner else "another process"
            raise LocalModeError(
                f"The data folder {self.path} is in use by {process}."
                " Stop it first, or choose another folder with --data-dir."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
