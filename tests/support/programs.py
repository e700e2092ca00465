"""The product's own commands as processes, as an operator would run them."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.launcher import Launched, launcher
from tests.support.waiting import wait_until

REPOSITORY: Final = Path(__file__).parents[2]
SECONDS_TO_START: Final = 30.0
SECONDS_TO_STOP: Final = 25.0


class Program:
    """`apitraffic-events <arguments>` with `environment` and nothing else of this machine's configuration.

    `ready` is a pattern that its log shows when it is up.
    """

    def __init__(self, log: Path, environment: Mapping[str, str], *arguments: str, ready: str) -> None:
        self._log = log
        self._environment = environment
        self._arguments = arguments
        self._ready = re.compile(ready)
        self._process: Launched | None = None
        self.announced: re.Match[str] | None = None

    def start(self) -> "Program":
        """Start it and wait until it is up; raises AssertionError with its log where it does not."""
        size = len(self.log())
        environment = {"APITRAFFIC_LOG_FORMAT": "text", **self._environment}
        self._process = launcher().start(self._arguments, environment, self._log.parent, self._log)
        try:
            wait_until(lambda: self._is_up(size), f"{' '.join(self._arguments)} is up", SECONDS_TO_START)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def _is_up(self, size: int) -> bool:
        code = None if self._process is None else self._process.poll()
        self.announced = self._ready.search(self.log(), size)
        if code is not None and self.announced is None:
            raise AssertionError(f"it ended with {code}")
        return self.announced is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> None:
        """SIGTERM, as a service manager would; nothing happens if it was never started."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Terminate it and wait until it has ended; gives the exit code."""
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL to all of its processes, as the kernel or a power failure would."""
        if self._process is not None:
            self._process.kill_group()
            self._process.wait(SECONDS_TO_STOP)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; gives the exit code, 0 if it was never started.

        Raises AssertionError with its log if it goes on, and kills it.
        """
        if self._process is None:
            return 0
        try:
            return self._process.wait(SECONDS_TO_STOP)
        except AssertionError:
            self.kill()
            raise AssertionError(f"{' '.join(self._arguments)} did not stop:\n{self.log()}") from None

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def stop_all(*programs: Program) -> None:
    """Stop them at once, so that they take no longer than the slowest."""
    for program in programs:
        program.terminate()
    for program in programs:
        program.wait()


@dataclass(frozen=True, slots=True)
class Ended:
    returncode: int
    output: str


def run_to_the_end(
    folder: Path, environment: Mapping[str, str], *arguments: str, cwd: Path | None = None
) -> Ended:
    """A command that ends by itself, and all that it prints, which is kept in `folder`."""
    log = folder / f"{arguments[0]}-{len(list(folder.glob('*.output')))}.output"
    process = launcher().start(arguments, environment, cwd or folder, log)
    return Ended(process.wait(SECONDS_TO_STOP), log.read_text())
