"""The product's own commands as processes, as an operator would run them."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.waiting import wait_until

REPOSITORY: Final = Path(__file__).parents[2]
SECONDS_TO_START: Final = 30.0
SECONDS_TO_STOP: Final = 25.0


class Program:
    """`apitraffic-events <arguments>` with `environment` and nothing else of this machine's configuration.

    `ready` is a pattern that its log shows when it is up.
    """

    def __init__(self, log: Path, environment: dict[str, str], *arguments: str, ready: str) -> None:
        self._log = log
        self._environment = environment
        self._command = [sys.executable, "-m", "receiver", *arguments]
        self._ready = re.compile(ready)
        self._process: subprocess.Popen[bytes] | None = None
        self.announced: re.Match[str] | None = None

    def start(self) -> "Program":
        """Start it and wait until it is up; raises AssertionError with its log where it does not."""
        size = len(self.log())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._log.parent,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "PYTHONUNBUFFERED": "1",
                    **self._environment,
                    "PYTHONPATH": str(REPOSITORY),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(lambda: self._is_up(size), f"{' '.join(self._command[2:])} is up", SECONDS_TO_START)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def _is_up(self, size: int) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"it ended with {self._process.returncode}")
        self.announced = self._ready.search(self.log(), size)
        return self.announced is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM, as a service manager would; gives the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all of its processes, as the kernel or a power failure would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(SECONDS_TO_STOP)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            return self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self._command} did not stop:\n{self.log()}") from None
