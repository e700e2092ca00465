"""Where commands print with rich: standard output and standard error, as a terminal or a pipe wants it."""

from typing import Final

from rich.console import Console

UNBROKEN: Final = 1_000
"""Columns: lines in a pipe are not wrapped, because `grep` and `cut` want them whole."""


def output(*, width_when_piped: int = UNBROKEN) -> Console:
    """Standard output: colours and the terminal's width on a terminal, neither in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = width_when_piped
    return console


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)
