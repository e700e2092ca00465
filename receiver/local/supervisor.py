"""Runs processes: starts them in order, brings back those that die, stops them all.

Every child has a session of its own, so that Ctrl-C in the terminal reaches only this process, which then
stops them in an order that loses nothing.
"""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from receiver.local.errors import LocalModeError
from receiver.local.log import Log

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
STEADY_AFTER: Final = 10.0
"""Seconds after which a child counts as running well, so that its next pause is a short one again."""

READY_POLL: Final = 0.02
LOOK_AGAIN: Final = 5.0
READER_TIMEOUT: Final = 2.0


@dataclass(frozen=True)
class Child:
    """A process to run once those in `after` are ready; `ready` is asked, with its process id, until true."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    ready: Callable[[int], bool] | None = None
    after: tuple[str, ...] = ()
    stop_timeout: float = 10.0


class ChildFailedError(LocalModeError):
    """A child did not become ready."""


class StopRequested(Exception):
    """Ctrl-C or SIGTERM came while the children were starting or somebody was working with them."""


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    reader: threading.Thread
    started: float


@dataclass
class _Due:
    """A restart that waits for its pause to pass."""

    child: Child
    at: float


@dataclass
class Supervisor:
    """Use as a context: leaving it stops every child, the last of the list first."""

    name: str
    children: Sequence[Child]
    log: Log
    folder: Path | None = None
    _running: dict[str, _Running] = field(default_factory=dict)
    _due: list[_Due] = field(default_factory=list)
    _deaths: dict[str, int] = field(default_factory=dict)
    _wake_ups: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    _stop_signals: int = 0
    _old_handlers: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            # Under nohup a closed terminal is to be ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._old_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop()
        finally:
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)

    def start(self, timeout: float = 30.0) -> None:
        """Start all children, each when those it comes after are ready, and wait until all of them are."""
        deadline = time.monotonic() + timeout
        ready: set[str] = set()
        while len(ready) < len(self.children):
            for child in self.children:
                if child.name not in self._running and ready.issuperset(child.after):
                    self._start(child)
            self.check()
            now_ready = {
                name for name, running in self._running.items() if name in ready or _is_ready(running)
            }
            if now_ready == ready:
                self._wait(READY_POLL)
            ready = now_ready
            if time.monotonic() > deadline and len(ready) < len(self.children):
                late = ", ".join(child.name for child in self.children if child.name not in ready)
                for child in self.children:
                    self.log.show_tail(child.name)
                raise ChildFailedError(f"Not ready after {timeout:.0f} s: {late}. Its log above may say why.")

    def check(self) -> None:
        """Raise if somebody wants to stop or a child has died; for use while nothing is restarted yet."""
        if self._stop_signals:
            raise StopRequested
        for running in self._running.values():
            if running.process.poll() is not None:
                self._clear_away(running)
                self.log.show_tail(running.child.name)
                how = _how_it_ended(running.process)
                raise ChildFailedError(f"{running.child.name} {how} while starting. Its log above says why.")

    def run(self) -> None:
        """Keep all children running until Ctrl-C or SIGTERM."""
        while not self._stop_signals:
            for running in list(self._running.values()):
                if running.process.poll() is not None:
                    self._bury(running)
            now = time.monotonic()
            for due in [due for due in self._due if due.at <= now]:
                self._due.remove(due)
                self._start(due.child)
            self._wait(min([LOOK_AGAIN, *(due.at - now for due in self._due)]))

    def _start(self, child: Child) -> None:
        process = subprocess.Popen(  # noqa: S603 - the command lines are ours
            list(child.command),
            env=None if child.environment is None else dict(child.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Daemonic, for a grandchild in yet another session could hold the pipe open for ever.
        reader = threading.Thread(target=self.log.copy, args=(child.name, process.stdout), daemon=True)
        self._running[child.name] = _Running(child, process, reader, time.monotonic())
        reader.start()

    def _bury(self, running: _Running) -> None:
        """Say that a child has died and plan its return."""
        child = running.child
        self._clear_away(running)
        del self._running[child.name]
        now = time.monotonic()
        deaths = 0 if now - running.started >= STEADY_AFTER else self._deaths.get(child.name, 0)
        self._deaths[child.name] = deaths + 1
        pause = min(FIRST_PAUSE * 2**deaths, LONGEST_PAUSE)
        self.log.show_tail(child.name)
        self._say(f"{child.name} {_how_it_ended(running.process)}; starting it again in {pause:g} s")
        self._due.append(_Due(child, now + pause))

    def _stop(self) -> None:
        """End the children one after another; a second Ctrl-C means: at once."""
        self._due.clear()
        signals_before = self._stop_signals
        for child in reversed(self.children):
            running = self._running.pop(child.name, None)
            if running is None:
                continue
            process = running.process
            if process.poll() is None:
                process.terminate()
            deadline = time.monotonic() + child.stop_timeout
            while process.poll() is None:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._stop_signals > max(signals_before, 1):
                    self._say(f"{child.name} does not stop; killing it")
                    process.kill()
                    process.wait()
                    break
                self._wait(min(remaining, 0.1))
            self._clear_away(running)

    def _clear_away(self, running: _Running) -> None:
        """What a dead child has left running would keep its port and its pipe."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.reader.join(READER_TIMEOUT)

    def _wait(self, timeout: float) -> None:
        """Until a signal comes (one of the children's deaths, too) or the time has passed."""
        with suppress(queue.Empty):
            self._wake_ups.get(timeout=max(timeout, 0))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # SimpleQueue is the one that may be used in a handler that has interrupted itself.
        if number != signal.SIGCHLD:
            self._stop_signals += 1
        self._wake_ups.put(number)

    def _say(self, text: str) -> None:
        self.log.write(self.name, text)


def _is_ready(running: _Running) -> bool:
    return running.child.ready is None or running.child.ready(running.process.pid)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
