"""What `translate` and `send` share: a delivery from a file and options."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from apitraffic_events.timestamps import now
from receiver.events import Delivery
from receiver.sources import SOURCES
from receiver.sources.signing import SENDERS

SOURCE: Final = click.Choice(list(SOURCES))
HEADER: Final = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[^\r\n]*)")
"""RFC 9110 section 5."""

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def header_option(function: CommandT) -> CommandT:
    return click.option(
        "--header",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A further header that the sender would send; repeatable.",
    )(function)


def delivery_from_file(
    source_name: str, body: bytes, event: str | None, headers: tuple[str, ...]
) -> Delivery:
    """The delivery as the source would receive it; raises `click.UsageError`."""
    own = SENDERS[source_name].headers("", event or "", body, "")
    given = {name.lower(): value for name, value in own.items()} | parse_headers(headers)
    return SOURCES[source_name].receive(given, body, now())


def parse_headers(headers: tuple[str, ...]) -> dict[str, str]:
    """Headers with names in lower case; raises `click.UsageError` if one is malformed."""
    parsed = {}
    for header in headers:
        match = HEADER.fullmatch(header)
        if match is None:
            raise click.UsageError(f"--header {header!r} is not of the form 'Name: value'")
        parsed[match["name"].lower()] = match["value"].strip()
    return parsed
