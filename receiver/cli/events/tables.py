"""Markers as a table for people."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_WHEN_PIPED: Final = 100


def print_events(events: Iterable[Mapping[str, Any]]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WHEN_PIPED
    console.print(event_table(events))


def event_table(events: Iterable[Mapping[str, Any]]) -> Table:
    """Two lines for each event, so that a run's whole URL has room."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 1, 0), header_style="bold")
    table.add_column("When, UTC\n", no_wrap=True)
    table.add_column("Type\nSource", no_wrap=True)
    table.add_column("Name\nURL", overflow="fold", ratio=1)
    table.add_column("Environment\nCommit, actor", overflow="fold")
    for event in events:
        about = event["metadata"]
        url = str(about.get("run_url") or about.get("url", ""))  # a run's URL is short enough for one line
        failed = about.get("status") in {"failure", "error"}
        commit = " ".join(str(about[key]) for key in ("short_commit", "actor") if key in about)
        table.add_row(
            Text(_two_lines(event["startedAt"])),
            Text.assemble(event["type"], "\n", (event["source"] or "", "dim")),
            Text.assemble(
                (event["name"], "bold red" if failed else "bold green"), "\n", (url, f"dim link {url}")
            ),
            Text.assemble(str(about.get("environment", "")), "\n", (commit, "dim")),
        )
    return table


def _two_lines(timestamp: str) -> str:
    """`2026-01-10T10:05:00.000Z` with the date above the time."""
    return timestamp.replace("T", "\n", 1)
