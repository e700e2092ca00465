"""`apitraffic-events quarantine list|show|replay|discard`: the commands are in `commands`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "discard": "Delete deliveries from quarantine.",
    "list": "List deliveries in quarantine, oldest first.",
    "replay": "Accept deliveries again, for example after an upgrade.",
    "show": "Print a whole delivery as JSON.",
}


@click.group(
    "quarantine",
    cls=LazyGroup,
    places={
        "discard": f"{__name__}.commands:discard",
        "list": f"{__name__}.commands:list_",
        "replay": f"{__name__}.commands:replay",
        "show": f"{__name__}.commands:show",
    },
    summaries=SUMMARIES,
)
def command() -> None:
    """List, replay or discard deliveries that could not be translated.

    They were authentic, and are kept as they arrived for 14 days, without headers that held credentials.
    """
