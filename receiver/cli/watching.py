"""`--watch`: repeat until Ctrl-C."""

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live

from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.exits import NotReachable


def redraw(out: Console, every: float, render: Callable[[], RenderableType]) -> None:
    """Show what `render` returns, and replace it every `every` seconds."""
    with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        repeat(every, lambda: live.update(render(), refresh=True), live.console)


def repeat(every: float, act: Callable[[], None], problems: Console) -> None:
    """Call `act` every `every` seconds. If something cannot be reached, print that and go on."""
    try:
        while True:
            try:
                act()
            except NotReachable as problem:
                problems.print(f"{format_timestamp(now())}  {problem.message}", markup=False)
            time.sleep(every)
    except KeyboardInterrupt:
        return
