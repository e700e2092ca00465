"""Where commands print with rich: standard output and standard error, as a terminal or a pipe wants it."""

import os
from typing import Final

import click
from rich.console import Console, RenderableType

UNBROKEN: Final = 1_000
"""Columns: lines in a pipe are not wrapped, because `grep` and `cut` want them whole."""


def output(*, width_when_piped: int = UNBROKEN) -> Console:
    """Standard output: colours and the terminal's width on a terminal, neither in a pipe.

    What is wrapped in a pipe too, by a width of its own, takes that of COLUMNS if there is one.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        columns = os.environ.get("COLUMNS", "")
        is_wrapped = width_when_piped != UNBROKEN
        console.width = (
            int(columns) if is_wrapped and columns.isdecimal() and int(columns) else width_when_piped
        )
    return console


def print_trimmed(console: Console, table: RenderableType) -> None:
    """A table without the blanks at the end of its lines."""
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def errors() -> Console:
    """Standard error; in a pipe, lines are not wrapped."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = UNBROKEN
    return console
