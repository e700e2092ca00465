"""Programs that a test starts: how they take signals, and that they end."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def heed_signals_in_children() -> None:
    """Let programs that are started from here take the signals that this process ignores.

    A shell starts background jobs with SIGINT ignored, nohup does so with SIGHUP, and a child inherits that.
    But a signal with a handler is the default again in a child: so it is a handler that ignores it here.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)


@contextmanager
def started(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program that is killed at the end if it still runs; `Popen` by itself waits for it without end."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def shown_on(controller: int) -> str:
    """What programs have written to the terminal of this controller, until none has it open any more.

    A terminal hands it over in pieces, and Linux says by an error that there are no more. This closes it.
    """
    shown = b""
    with os.fdopen(controller, "rb", buffering=0) as reading, suppress(OSError):
        while piece := reading.read(65536):
            shown += piece
    return shown.decode()


def _ignore(_number: int, _frame: object) -> None:
    pass
