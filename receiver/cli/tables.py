"""Tables that are read by people and split by scripts."""

from collections.abc import Iterator, Sequence
from datetime import timedelta


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns two spaces apart; `-` stands for nothing, so that a script can split them."""
    filled = [headings, *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*filled, strict=True)]
    for row in filled:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def age(taken: timedelta) -> str:
    """`0m`, `119m`, `2h`, `47h`, `2d`: in the smallest unit that tells two of them apart."""
    minutes = max(0, int(taken.total_seconds() // 60))
    if minutes < 2 * 60:
        return f"{minutes}m"
    hours = minutes // 60
    return f"{hours}h" if hours < 2 * 24 else f"{hours // 24}d"
