"""One log for several processes. Each line names its process, and none can control the terminal."""

import os
import re
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Final, TextIO

COLOURS: Final = (35, 36, 33, 32, 34)
"""SGR foreground colours that are readable on dark and light backgrounds."""

ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # window titles and links
    r"|\x1b[@-Z\\^_]"
)
LONGEST_LINE: Final = 64 * 1024
"""Bytes; a longer line is shown in pieces."""
TAIL: Final = 50
"""Lines."""


def printable(line: str) -> str:
    """Return the line without anything that could control the terminal: it may contain text from outside."""
    if line.isprintable():
        return line
    line = ESCAPE_SEQUENCE.sub("", line).expandtabs(4)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class Log:
    """Shows lines with the name of their process, but keeps those of `hidden` processes for `show_tail`."""

    def __init__(self, stream: TextIO, names: Sequence[str], hidden: Sequence[str] = ()) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._names = tuple(names)
        self._hidden = frozenset(hidden)
        self._width = max(map(len, names), default=0)
        self._tails = {name: deque[str](maxlen=TAIL) for name in names}
        self._lock = threading.Lock()

    def write(self, name: str, line: str) -> None:
        text = printable(line)
        with self._lock:
            self._tails[name].append(text)
            if name not in self._hidden:
                self._show(name, text)

    def copy(self, name: str, pipe: IO[bytes]) -> None:
        """Write each line of the pipe until it ends."""
        with pipe:
            while line := pipe.readline(LONGEST_LINE):
                self.write(name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def show_tail(self, name: str) -> None:
        """Show the last lines of a hidden process, except those that were shown before."""
        with self._lock:
            if name in self._hidden:
                for line in self._tails[name]:
                    self._show(name, line)
            self._tails[name].clear()

    def show(self, text: str) -> None:
        """Show text without a name before it."""
        with self._lock:
            self._put(text)

    def _show(self, name: str, text: str) -> None:
        label = f"{name:<{self._width}} |"
        if self._coloured:
            colour = COLOURS[self._names.index(name) % len(COLOURS)]
            label = f"\x1b[{colour}m{label}\x1b[0m"
        self._put(f"{label} {text}")

    def _put(self, text: str) -> None:
        # If nobody reads the log any more, deliveries are accepted all the same.
        with suppress(OSError):
            self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding) + "\n")
            self._stream.flush()
