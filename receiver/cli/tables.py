"""Tables that people read and scripts split."""

from collections.abc import Iterator, Sequence
from datetime import timedelta


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns two spaces apart. An empty cell is `-`, so that scripts can split the lines."""
    filled = [headings, *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*filled, strict=True)]
    for row in filled:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def age(taken: timedelta) -> str:
    """An age as `0m`, `119m`, `2h`, `47h` or `2d`."""
    minutes = max(0, int(taken.total_seconds() // 60))
    if minutes < 2 * 60:
        return f"{minutes}m"
    hours = minutes // 60
    return f"{hours}h" if hours < 2 * 24 else f"{hours // 24}d"
