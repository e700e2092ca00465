"""Tables for a terminal of 80 columns: several lines for each entry, as `events list` has them.

Not in `tables`, because rich takes long to import.
"""

from collections.abc import Iterable, Sequence

from rich.table import Column, Table
from rich.text import Text

Line = tuple[str, str]
"""Text and its style."""


def stacked(headings: Sequence[str], rows: Iterable[Sequence[Sequence[Line]]]) -> Table:
    """Each cell is a few lines below each other. The last column takes what is left, and wraps."""
    *narrow, wide = headings
    columns = [Column(heading, no_wrap=True) for heading in narrow]
    table = Table(
        *columns,
        Column(wide, overflow="fold", ratio=1),
        box=None,
        pad_edge=False,
        padding=(0, 2, 1, 0),
        header_style="bold",
    )
    for row in rows:
        table.add_row(*(Text("\n").join(Text(*line) for line in cell) for cell in row))
    return table
