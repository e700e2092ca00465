"""Printing with rich: to standard output and standard error, as a terminal or a pipe wants it.

Long lines on a terminal are broken at words, with what follows indented. A URL is never broken.
"""

import os
import re
from collections.abc import Iterator
from typing import Final

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

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


WORD: Final = re.compile(r"\s*\S+\s*")
INDENTED: Final = 2
NARROWEST: Final = 20
"""Columns; on a narrower terminal, lines are longer than it."""


def wrapped(line: Text, console: Console, indent: int | None = None) -> list[Text]:
    """`line` in the console's width; in a pipe, it stays as it is unless the console has been given a width.

    Further lines are indented by `indent` columns, by default a little more than the line itself.
    """
    if console.width >= UNBROKEN or line.cell_len <= console.width:
        return [line]
    if indent is None:
        indent = len(line.plain) - len(line.plain.lstrip()) + INDENTED
    head, body = line.divide([indent])
    first, *rest = body.divide(_breaks(body.plain, max(NARROWEST, console.width - indent)))
    return [head + first, *(Text(" " * indent) + part for part in rest)]


def _breaks(text: str, width: int) -> Iterator[int]:
    """Where lines of this width end. Rich would cut a longer word, or break it."""
    used = 0
    for word in WORD.finditer(text):
        if used and used + cell_len(word[0].rstrip()) > width:
            yield word.start()
            used = 0
        used += cell_len(word[0])


def print_wrapped(line: Text, console: Console, indent: int | None = None) -> None:
    for part in wrapped(line, console, indent):
        part.rstrip()
        console.print(part, soft_wrap=True)
