"""What `translate` and `send` share: a delivery from a file and options."""

import re
from dataclasses import replace
from typing import Any, Final

import click

from apitraffic_events.timestamps import now
from receiver.config.senders import Senders
from receiver.events import Delivery
from receiver.sources.sending import sender_of
from receiver.sources.signing import SENDERS
from receiver.sources.source import Source

HEADER: Final = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[^\r\n]*)")
"""RFC 9110 section 5."""


def source_named(name: str, senders: Senders) -> Source[Any]:
    """Raises `click.UsageError`."""
    if name not in senders:
        raise click.UsageError(f"There is no sender {name!r}; there are {', '.join(senders)}.")
    return senders[name]


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
