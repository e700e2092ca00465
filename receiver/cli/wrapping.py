"""Long lines on a terminal: broken at words, with what follows indented. An address is never broken."""

import re
from collections.abc import Iterator
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from receiver.cli.consoles import UNBROKEN

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
