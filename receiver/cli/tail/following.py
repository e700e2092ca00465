"""Deliveries as they come in, and what becomes of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp
from receiver.cli import consoles
from receiver.cli.consoles import print_wrapped
from receiver.cli.exits import NotReachable
from receiver.cli.storage import connected_redis
from receiver.cli.watching import repeat
from receiver.errors import StorageUnavailable
from receiver.monitoring.following import STATUSES, Following, Happening

INTERVAL: Final = 1.0
"""Seconds between two looks."""
STYLES: Final = {
    "refused": "red",
    "quarantined": "bold red",
    "given_up": "bold red",
    "to_retry": "yellow",
    "delivered": "green",
}
WIDEST: Final = max(map(len, STATUSES))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines to show; empty ones let everything through."""

    sources: Sequence[str]
    statuses: Sequence[str]
    text: str

    def includes(self, happening: Happening) -> bool:
        entry = happening.entry
        texts = (entry.delivery, entry.event, entry.subject, entry.reason, *sum(entry.markers, ()))
        return (
            (not self.sources or entry.source in self.sources)
            and (not self.statuses or happening.status in self.statuses)
            and (not self.text or any(self.text.lower() in text.lower() for text in texts))
        )


def follow(
    *,
    sources: tuple[str, ...],
    statuses: tuple[str, ...],
    text: str,
    lines: int,
    ids: bool,
    no_follow: bool,
    as_json: bool,
) -> None:
    if no_follow and "delivered" in statuses:
        raise click.UsageError(
            "--no-follow cannot show `delivered`, which the log does not record. Leave it out to see "
            "deliveries as they happen; `events list` shows what has been delivered."
        )
    wanted = Filter(sources, statuses, text)
    out = consoles.output()

    def show(happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            if as_json:
                click.echo(json.dumps(_as_json(happening)))
            else:
                _print(out, happening, with_id=ids)

    with connected_redis() as (_settings, redis):
        following = Following(redis)
        earlier = [happening for happening in following.new() if wanted.includes(happening)]
        show(earlier[len(earlier) - min(lines, len(earlier)) :])
        if no_follow:
            return

        def look() -> None:
            try:
                happened = following.new()
            except StorageUnavailable as error:
                said = str(error).removeprefix("Redis: ").rstrip(".")
                raise NotReachable(f"Redis could not be reached: {said}") from error
            show([happening for happening in happened if wanted.includes(happening)])

        repeat(INTERVAL, look, consoles.errors())


def _print(out: Console, happening: Happening, *, with_id: bool) -> None:
    """One line each; on a terminal as many as are needed. The time there is the day's, in UTC."""
    entry = happening.entry
    at = format_timestamp(happening.at)
    line = Text(at[11:19] if out.is_terminal else at)
    line.append("  ").append(f"{happening.status:<{WIDEST}}", STYLES.get(happening.status, ""))
    indent = line.cell_len + 2
    origin = " ".join(filter(None, (entry.source, entry.event)))
    names = [name for _, name in entry.markers]
    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    reason = " ".join(filter(None, (entry.reason, entry.address and f"(from {entry.address})")))
    about = f"{names[0]}{more}" if names else reason or entry.subject
    parts = (origin, about, entry.delivery if with_id else "")
    for part in filter(None, parts):
        line.append(f"  {one_line(part, METADATA_TEXT_LIMIT)}")
    print_wrapped(line, out, indent)


def _as_json(happening: Happening) -> dict[str, Any]:
    """The object that docs/cli.md describes."""
    entry = happening.entry
    return {
        "at": format_timestamp(happening.at),
        "status": happening.status,
        "source": entry.source,
        "event": entry.event or None,
        "delivery": entry.delivery or None,
        "subject": entry.subject or None,
        "reason": entry.reason or None,
        "address": entry.address or None,
        "markers": [{"key": key, "name": name} for key, name in entry.markers],
    }
