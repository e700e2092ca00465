"""What `up` runs, as other commands find it: noted in the data folder while it runs, without a secret."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from receiver.local.data_folder import DataFolder
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID
from receiver.local.redis_server import RedisServer
from receiver.local.stack import API_TOKEN, LocalStack

NAME: Final = "running.json"


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """The local system in `folder`; `settings` are the variables with which a command reaches it."""

    folder: DataFolder
    receiver_url: str
    settings: Mapping[str, str]


@contextmanager
def noted(stack: LocalStack) -> Iterator[None]:
    """While this lasts, `running_in` finds the stack. What it did not bring itself is not noted."""
    settings = {}
    if isinstance(stack.redis, RedisServer):
        settings = {"REDIS_URL": stack.redis_url, "APITRAFFIC_SPOOL": stack.spool}
    secrets = [*stack.secrets]
    if stack.api_url is not None:
        settings |= {"APITRAFFIC_API_URL": stack.api_url, "APITRAFFIC_ACCOUNT_SID": LOCAL_ACCOUNT_SID}
        secrets.append(API_TOKEN)
    path = stack.folder.path / NAME
    path.write_text(
        json.dumps({"receiver_url": stack.receiver_url, "settings": settings, "secrets": secrets}),
        encoding="utf-8",
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_in(folder: DataFolder) -> RunningSystem | None:
    """The system that runs in this folder, with its secrets; `None` if none does."""
    try:
        content: Any = json.loads((folder.path / NAME).read_text(encoding="utf-8"))
        if not _is_locked(folder):
            return None  # It was killed.
        secrets = {name: folder.read_secret(name) for name in content["secrets"]}
        settings = content["settings"] | {name: value for name, value in secrets.items() if value}
        return RunningSystem(folder, content["receiver_url"], settings)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_locked(folder: DataFolder) -> bool:
    """Whether the process that `DataFolder.locked` has locked it for is alive."""
    lock = os.open(folder.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        return True
    finally:
        os.close(lock)
