"""What `events list` and `events get` do."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import click
from rich.console import Console

from apitraffic_events.client import LARGEST_PAGE
from apitraffic_events.filters import EventFilter
from apitraffic_events.paging import iter_matching
from apitraffic_events.records import EventPage, StoredEvent
from receiver.cli import consoles
from receiver.cli.events.account import AccountSession, reading_session
from receiver.cli.events.options import warn_of_former_name
from receiver.cli.events.output import HEADINGS, as_json, as_row, details
from receiver.cli.events.tables import event_table
from receiver.cli.exits import api_problems
from receiver.cli.tables import columns
from receiver.cli.watching import redraw, repeat


def list_(
    *,
    bucket: str | None,
    environment: str | None,
    former: str | None,
    limit: int,
    everything: bool,
    watch: bool,
    every: float,
    timeout: float,
    as_lines: bool,
    **filters: Any,
) -> None:
    if everything and watch:
        raise click.UsageError("Give --all or --watch, not both.")
    if former is not None:
        warn_of_former_name()
    environment = environment or former
    out = consoles.output()
    with reading_session(timeout, is_quiet=watch or everything) as account:
        listing = Listing(
            account,
            EventFilter(
                filters["type"], filters["since"], filters["until"], **_places(account, bucket, environment)
            ),
            None if everything else limit,
        )
        if watch:
            _watch(listing, out, every, as_lines=as_lines)
        elif as_lines:
            for event in listing.events():
                click.echo(json.dumps(as_json(event)))
        else:
            _print_table(listing.with_progress() if everything else list(listing.events()), out)


def _places(account: AccountSession, bucket: str | None, environment: str | None) -> dict[str, str | None]:
    buckets, environments = account.sids((bucket,) if bucket else (), (environment,) if environment else ())
    return {
        "bucket": buckets[0] if buckets else None,
        "environment": environments[0] if environments else None,
    }


@dataclass(frozen=True, slots=True)
class Listing:
    """The events that match: the latest `most`, or all. What the API returns is checked here."""

    account: AccountSession
    wanted: EventFilter
    most: int | None

    def events(self) -> Iterator[StoredEvent]:
        size = LARGEST_PAGE if self.most is None else min(LARGEST_PAGE, self.most)
        return islice(iter_matching(lambda page: self._page(page, size), self.wanted), self.most)

    def _page(self, number: int, size: int) -> EventPage:
        with api_problems():
            return self.account.ask(
                lambda: self.account.client.list_page(self.wanted, limit=size, page=number)
            )

    def with_progress(self) -> list[StoredEvent]:
        """All events. Shows their number so far on standard error, if that is a terminal."""
        events = []
        with consoles.errors().status("…") as status:
            for event in self.events():
                events.append(event)
                if len(events) % LARGEST_PAGE == 0:
                    status.update(f"{len(events):,} events …")
        return events


def _print_table(events: list[StoredEvent], out: Console) -> None:
    if not events:
        click.echo("No events match.", err=True)
    elif out.is_terminal:
        out.print(event_table(events))
    else:
        for line in columns(HEADINGS, [as_row(event) for event in events]):
            click.echo(line)


def _watch(listing: Listing, out: Console, every: float, *, as_lines: bool) -> None:
    if out.is_terminal and not as_lines:
        redraw(out, every, lambda: event_table(listing.events()))
        return
    shown: dict[str, StoredEvent] = {}

    def print_changed() -> None:
        for event in reversed(list(listing.events())):
            if shown.get(event.sid) != event:
                shown[event.sid] = event
                click.echo(json.dumps(as_json(event)) if as_lines else "  ".join(_filled(event)))

    repeat(every, print_changed, consoles.errors())


def _filled(event: StoredEvent) -> Iterator[str]:
    return (cell or "-" for cell in as_row(event))


def get(sid: str, *, timeout: float, as_lines: bool) -> None:
    with reading_session(timeout) as account:
        event = account.ask(lambda: account.client.get_event(sid))
    if as_lines:
        click.echo(json.dumps(as_json(event)))
    else:
        consoles.output().print(details(event), soft_wrap=True)
