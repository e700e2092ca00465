"""A command that others see as if it ran in place of this process: its streams, signals and exit code."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

FROM_KEYBOARD: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
STOPPING: Final = frozenset({*FROM_KEYBOARD, signal.SIGTERM, signal.SIGHUP})
FORWARDED: Final = (*sorted(STOPPING), signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND: Final = 127
NOT_RUNNABLE: Final = 126
"""Exit codes of POSIX shells, https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html"""
SIGNALLED: Final = 128
TERMINAL: Final = Path("/dev/tty")


class Stopped(BaseException):
    """A signal asks this process to end, after the command has ended."""


class NotRunnable(click.ClickException):
    """The command could not be started."""

    exit_code = NOT_RUNNABLE


class NotFound(NotRunnable):
    """There is no such command."""

    exit_code = NOT_FOUND


def cannot_start(command: str, error: OSError) -> NotRunnable:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return NotFound(f"{command}: command not found")
    return NotRunnable(f"{command}: {error.strerror or type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended: its exit code, or minus the signal that ended it.

    `was_asked_to_stop` says that this process was sent a signal that asks to stop, and the command too.
    """

    returncode: int
    was_asked_to_stop: bool = False

    @property
    def exit_code(self) -> int:
        """As a shell has it in `$?`."""
        return SIGNALLED - self.returncode if self.returncode < 0 else self.returncode

    def exit(self) -> NoReturn:
        """End this process in the same way."""
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        if self.returncode < 0:
            # By the same signal: a shell that runs a loop ends it if Ctrl-C has ended the command.
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            with suppress(OSError, ValueError):
                signal.signal(-self.returncode, signal.SIG_DFL)
            os.kill(os.getpid(), -self.returncode)
        # The first process of a container is not ended by its own signal.
        sys.exit(self.exit_code)


class Child:
    """Starts the command, passes signals on to it, and waits for its end. For the main thread."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []
        self._was_asked_to_stop = False
        self._has_ended = False

    @contextmanager
    def started(self) -> Iterator[None]:
        """Raises `NotRunnable`. Afterwards, signals that could still come are ignored."""
        # A signal that is ignored, as by nohup, stays so, also in the command.
        heeded = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heeded:
            signal.signal(number, self._receive)
        try:
            self._process = subprocess.Popen(self._command)  # noqa: S603 - what the user wants to run
        except OSError as error:
            raise cannot_start(self._command[0], error) from error
        for waiting in self._waiting:
            self._process.send_signal(waiting)
        try:
            yield
        finally:
            for number in heeded:
                signal.signal(number, signal.SIG_IGN)

    def wait(self) -> Ending:
        if self._process is None:
            raise RuntimeError("not started")
        returncode = self._process.wait()
        self._has_ended = True
        return Ending(returncode, self._was_asked_to_stop)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._has_ended:
            if number in STOPPING:
                raise Stopped
            return
        self._was_asked_to_stop = self._was_asked_to_stop or number in STOPPING
        if self._process is None:
            self._waiting.append(number)
        elif not _comes_from_keyboard(number):
            self._process.send_signal(number)


def _comes_from_keyboard(number: int) -> bool:
    """Whether the terminal has sent it to the command too, as to all processes in its foreground."""
    if number not in FROM_KEYBOARD:
        return False
    try:
        with TERMINAL.open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
