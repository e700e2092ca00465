"""Supervises processes: starts them in order, restarts those that end, stops them all.

Every child has its own session, so that Ctrl-C in the terminal reaches only this process, which then stops
the children in an order in which nothing is lost.
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
"""Seconds before a restart; the pause doubles each time."""
STEADY_AFTER: Final = 10.0
"""Seconds after which a child counts as steady, so that its next pause is the first one again."""

READY_POLL: Final = 0.02
CHECK_INTERVAL: Final = 5.0
READER_TIMEOUT: Final = 2.0
"""Seconds, all three."""


@dataclass(frozen=True)
class Child:
    """A process to run, started when the children named in `after` are ready.

    `ready` is called with the process id until it returns True; without it the child is ready at once. It is
    killed if it has not ended `stop_timeout` seconds after SIGTERM.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    ready: Callable[[int], bool] | None = None
    after: tuple[str, ...] = ()
    stop_timeout: float = 10.0


class ChildFailedError(LocalModeError):
    """A child did not become ready."""


class StopRequested(Exception):
    """Ctrl-C or SIGTERM arrived before `run`."""


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    reader: threading.Thread
    started: float


@dataclass
class _Restart:
    """A restart to make at the time `at` of the monotonic clock."""

    child: Child
    at: float


@dataclass
class Supervisor:
    """Use it in a `with` statement: at its end all children are stopped, the last one first."""

    name: str
    children: Sequence[Child]
    log: Log
    folder: Path | None = None
    _running: dict[str, _Running] = field(default_factory=dict)
    _restarts: list[_Restart] = field(default_factory=list)
    _failures: dict[str, int] = field(default_factory=dict)
    _signals: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    _stop_signals: int = 0
    _old_handlers: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            # nohup makes a process ignore SIGHUP; that is kept.
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
        """Start all children in their order, and wait until all are ready.

        Raises ChildFailedError if one ends or is not ready after `timeout` seconds, and StopRequested.
        """
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
                raise ChildFailedError(f"Not ready after {timeout:.0f} s: {late}. The log above may say why.")

    def check(self) -> None:
        """Before `run`: raise StopRequested after Ctrl-C or SIGTERM, ChildFailedError if a child ended."""
        if self._stop_signals:
            raise StopRequested
        for running in self._running.values():
            if running.process.poll() is not None:
                self._clean_up(running)
                self.log.show_tail(running.child.name)
                how = _how_it_ended(running.process)
                raise ChildFailedError(f"{running.child.name} {how} while starting. The log above says why.")

    def run(self) -> None:
        """Keep all children running until Ctrl-C or SIGTERM; a child that ends is started again."""
        while not self._stop_signals:
            for running in list(self._running.values()):
                if running.process.poll() is not None:
                    self._plan_restart(running)
            now = time.monotonic()
            for restart in [each for each in self._restarts if each.at <= now]:
                self._restarts.remove(restart)
                self._start(restart.child)
            self._wait(min([CHECK_INTERVAL, *(each.at - now for each in self._restarts)]))

    def _start(self, child: Child) -> None:
        process = subprocess.Popen(  # noqa: S603 - the commands are our own
            list(child.command),
            env=None if child.environment is None else dict(child.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Daemonic: a grandchild in another session could keep the pipe open for ever.
        reader = threading.Thread(target=self.log.copy, args=(child.name, process.stdout), daemon=True)
        self._running[child.name] = _Running(child, process, reader, time.monotonic())
        reader.start()

    def _plan_restart(self, running: _Running) -> None:
        """Log that a child has ended, and start it again after a pause."""
        child = running.child
        self._clean_up(running)
        del self._running[child.name]
        now = time.monotonic()
        failures = 0 if now - running.started >= STEADY_AFTER else self._failures.get(child.name, 0)
        self._failures[child.name] = failures + 1
        pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE)
        self.log.show_tail(child.name)
        self._write(f"{child.name} {_how_it_ended(running.process)}; starting it again in {pause:g} s")
        self._restarts.append(_Restart(child, now + pause))

    def _stop(self) -> None:
        """Stop the children one after another. After a second Ctrl-C, kill them."""
        self._restarts.clear()
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
                    self._write(f"{child.name} does not stop; killing it")
                    process.kill()
                    process.wait()
                    break
                self._wait(min(remaining, 0.1))
            self._clean_up(running)

    def _clean_up(self, running: _Running) -> None:
        """Kill what a child has left running, which would keep its port and its pipe."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.reader.join(READER_TIMEOUT)

    def _wait(self, timeout: float) -> None:
        """Wait for `timeout` seconds, or until a signal arrives, SIGCHLD included."""
        with suppress(queue.Empty):
            self._signals.get(timeout=max(timeout, 0))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # SimpleQueue is reentrant: a handler may interrupt another one.
        if number != signal.SIGCHLD:
            self._stop_signals += 1
        self._signals.put(number)

    def _write(self, text: str) -> None:
        self.log.write(self.name, text)


def _is_ready(running: _Running) -> bool:
    return running.child.ready is None or running.child.ready(running.process.pid)


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
