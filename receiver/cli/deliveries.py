"""What `translate` and `send` share: a delivery from a file and options."""

import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

import click

from apitraffic_events.timestamps import now
from receiver.config.senders import Senders
from receiver.config.suspicions import ALIKE, events_of, is_among
from receiver.events import Delivery
from receiver.sources.sending import sender_of
from receiver.sources.signing import SENDERS
from receiver.sources.source import Source

HEADER: Final = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[^\r\n]*)")
"""RFC 9110 section 5."""


def source_named(name: str, senders: Senders) -> Source[Any]:
    """Raises `click.UsageError`."""
    if name not in senders:
        close = get_close_matches(name, list(senders), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise click.UsageError(
            f"There is no sender {name!r}; {hint}`apitraffic-events senders list` lists all."
        )
    return senders[name]


def warn_of_misspelt(event: str, source: Source[Any]) -> None:
    """Say which event was probably meant; the sender may have others than those that are translated."""
    known = events_of([source])
    close = get_close_matches(event, known, n=1, cutoff=ALIKE)
    if close and not is_among(event, known):
        click.echo(f"! {source.title} has no event {event!r}; did you mean {close[0]}?", err=True)


def delivery_from_file(
    source: Source[Any], body: bytes, event: str | None, headers: tuple[str, ...]
) -> Delivery:
    """The delivery as the source would receive it; raises `click.UsageError`."""
    own = sender_of(source).headers("", event or "", body, "")
    given = {name.lower(): value for name, value in own.items()} | parse_headers(headers)
    delivery = source.receive(given, body, now())
    is_declared = source.name not in SENDERS
    return replace(delivery, event=event) if is_declared and event else delivery


def parse_headers(headers: tuple[str, ...]) -> dict[str, str]:
    """Headers with names in lower case; raises `click.UsageError` if one is malformed."""
    parsed = {}
    for header in headers:
        match = HEADER.fullmatch(header)
        if match is None:
            raise click.UsageError(f"--header {header!r} is not of the form 'Name: value'")
        parsed[match["name"].lower()] = match["value"].strip()
    return parsed
