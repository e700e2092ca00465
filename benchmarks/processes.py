"""Starting what is measured, and ending it whatever happens: Ctrl-C, a failure, a time-out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

START_TIMEOUT: Final = 20.0
STOP_TIMEOUT: Final = 8.0
POLL: Final = 0.01
INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR")
"""Environment variables that processes get from the caller."""


class BenchmarkError(Exception):
    """Something did not run as it must for the figures to mean anything."""


@dataclass(frozen=True)
class Launcher:
    """Starts processes of this environment that see none of the caller's settings, and log to `folder`."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def with_settings(cls, folder: Path, settings: Mapping[str, str]) -> "Launcher":
        """The caller's own configuration, tokens included, stays out of it; so does its proxy."""
        no_file = folder / "apitraffic.toml"
        no_file.touch()
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return cls(folder, {**inherited, "NO_PROXY": "*", "APITRAFFIC_CONFIG": str(no_file), **settings})

    @contextmanager
    def running(
        self, name: str, *arguments: str, tree: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`python -m …` in a session of its own, which ends with the block; its output is in `<name>.log`.

        With a `tree`, the modules in it count, and not those beside this one.
        """
        command = [sys.executable, "-m", *arguments]
        with self._started(name, command, tree) as process:
            yield process

    @contextmanager
    def running_program(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Another program, likewise."""
        with self._started(name, command, None) as process:
            yield process

    @contextmanager
    def _started(
        self, name: str, command: Sequence[str], tree: Path | None
    ) -> Iterator[subprocess.Popen[bytes]]:
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=tree,
                env=dict(self.environment) | ({"PYTHONPATH": str(tree)} if tree else {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end(process)

    def run(self, name: str, arguments: Sequence[str], *, given: str, timeout: float) -> str:
        """What `python -m …` prints when it is given this; raises `BenchmarkError` where it fails."""
        with (
            self.log(name).open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            try:
                printed, _ = process.communicate(given, timeout=timeout)
            except subprocess.TimeoutExpired as error:
                raise BenchmarkError(f"{name} took more than {timeout:g} s") from error
            finally:
                end(process)
        if process.returncode != 0:
            raise BenchmarkError(f"{name} failed:\n{self.log(name).read_text()}")
        return printed

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_until(
        self,
        condition: Callable[[], object],
        name: str,
        timeout: float = START_TIMEOUT,
        poll: float = POLL,
    ) -> None:
        """Wait for something that process `name` is to bring about."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"waited {timeout:g} s for {name}:\n{self.log(name).read_text()}")
            time.sleep(poll)


def processor_seconds(process_id: int) -> float:
    """Processor time that a process and its children, also those that have ended, have used so far.

    Not a number outside Linux.
    """
    try:
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: utime to cstime, the name's field cut off.
    own = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_seconds(int(child)) for child in children)


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """In good order where it takes that, and its whole session in any case."""
    with suppress(ProcessLookupError):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
