"""Starts the product's commands by forking a process that has imported their modules.

Most of what a start costs is the interpreter and these imports, and most of what an end costs is freeing what
was imported; the tests do both some hundred times. What is forked is a process of its own, with a session,
environment, folder, log and signals of its own, and it runs `python -m receiver`. What reads the environment
when it is imported is left to it. Importing the product's own modules has no effect, except that
`receiver.queue` sets the prefix of RQ's keys. A process joins its threads and runs its exit handlers as any
interpreter does, and then leaves its memory to the kernel. Tests of `up`, `demo`, `run` and the command line
start and end all of it in the ordinary way.

    process = launcher().start(["worker"], environment, folder, log)

When the tests end, however they end, what still runs is killed.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.support.waiting import wait_until

REPOSITORY: Final = Path(__file__).parents[2]
IMPORTED: Final = (
    *(
        "apitraffic_events",
        "click",
        "flask",
        "gunicorn.arbiter",
        "gunicorn.workers.gthread",
        "pydantic.main",
    ),
    *("redis", "requests", "rich", "sqlite3", "structlog"),
    "receiver.queue",  # before anything imports rq, which reads the prefix of its keys once
    # The commands that are started most, and what they import only when they run.
    *("receiver.cli.api", "receiver.cli.serve", "receiver.cli.translate", "receiver.cli.worker"),
    *("receiver.cli.failures", "receiver.cli.start_checks", "receiver.config.loading"),
    *("receiver.local.events_api.server", "receiver.serving.certificates", "receiver.serving.server"),
    *("receiver.worker.running", "receiver.worker.tracing"),
)
LEFT_TO_EACH: Final = frozenset({"prometheus_client"})


class Launched:
    """A process, as far as `subprocess.Popen` shows it."""

    def __init__(self, launcher: "Launcher", pid: int) -> None:
        self._launcher = launcher
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._launcher.ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Raises AssertionError if it has not ended by then."""
        wait_until(lambda: self.poll() is not None, f"process {self.pid} ends", timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """End it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Launcher:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.support.launcher"],
            cwd=REPOSITORY,
            env=surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> Launched:
        """Run `apitraffic-events` with these; what it prints is added to the log."""
        order = {
            "arguments": list(arguments),
            "environment": surroundings() | dict(environment),
            "folder": str(folder),
            "log": str(log),
        }
        return Launched(self, self.ask({"start": order}))

    def ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the launcher has ended"
        return json.loads(answer)

    def close(self) -> None:
        with self._process:
            pass


@cache
def launcher() -> Launcher:
    """The one of this process."""
    launcher = Launcher()
    atexit.register(launcher.close)
    return launcher


def surroundings() -> dict[str, str]:
    """What a program needs of this machine's environment, and nothing else of it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(REPOSITORY)}


def main() -> None:
    """Start and watch what is ordered, until nobody is there to order."""
    exit_codes: list[int] = []
    atexit.register(leave, exit_codes)  # registered first, it runs last
    for module in IMPORTED:
        import_module(module)
    assert LEFT_TO_EACH.isdisjoint(sys.modules)
    gc.freeze()
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            pid = os.fork()
            if pid == 0:
                run(exit_codes, **order["start"])
            running.add(pid)
            answer: int | None = pid
        else:
            answer = ended(order["ended"])
            if answer is not None:
                running.remove(order["ended"])
        sys.stdout.write(f"{json.dumps(answer)}\n")
    for pid in running:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def run(
    exit_codes: list[int], arguments: list[str], environment: dict[str, str], folder: str, log: str
) -> NoReturn:
    """Be that process, and note the exit code."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for opened, descriptor in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(opened, descriptor)
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    os.closerange(3, max(nothing, output) + 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["receiver", *arguments]
    try:
        runpy.run_module("receiver", run_name="__main__", alter_sys=True)
        sys.exit(0)
    except SystemExit as end:  # also that of a process which this one has forked
        if isinstance(end.code, int | None):
            exit_codes.append(end.code or 0)
        raise


def leave(exit_codes: list[int]) -> None:
    """End without freeing what the launcher has imported: the kernel would copy each page of it first."""
    if exit_codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_codes[-1])


def ended(pid: int) -> int | None:
    """How that process has ended, as `Popen.returncode` says it; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


if __name__ == "__main__":
    main()
