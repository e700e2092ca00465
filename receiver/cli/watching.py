"""`--watch`: repeat until Ctrl-C."""

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.consoles import print_wrapped
from receiver.cli.exits import NotReachable


def redraw(out: Console, every: float, render: Callable[[], RenderableType]) -> None:
    """Show what `render` returns, and replace it every `every` seconds."""
    with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        repeat(every, lambda: live.update(render(), refresh=True), live.console)


def repeat(every: float, act: Callable[[], None], problems: Console) -> None:
    """Call `act` every `every` seconds. If something cannot be reached, say so once, and when it is back."""
    is_away = False

    def say(text: str) -> None:
        print_wrapped(Text(f"{format_timestamp(now())}  {text}"), problems)

    try:
        while True:
            try:
                act()
            except NotReachable as problem:
                if not is_away:
                    end = "" if problem.message.endswith("?") else "."
                    say(f"{problem.message}{end} Trying again …")
                is_away = True
            else:
                if is_away:
                    say("It can be reached again.")
                is_away = False
            time.sleep(every)
    except KeyboardInterrupt:
        return
