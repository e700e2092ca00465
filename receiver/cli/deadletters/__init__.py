"""`apitraffic-events deadletters list|show|replay|discard`: the commands are in `commands`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "discard": "Delete dead letters.",
    "list": "List dead letters, oldest first.",
    "replay": "Put dead letters back into the queue.",
    "show": "Print one dead letter as JSON, with the whole change and the error.",
}


@click.group(
    "deadletters",
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
    """List, replay or discard changes that could not be delivered.

    A change becomes a dead letter if the API refuses it, or if the API fails for more than 72 hours. An
    expired token or a used-up request budget never makes one. Dead letters are kept for a year, with the
    API's error.
    """
