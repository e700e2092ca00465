"""`apitraffic-events senders list|show|test`: the commands are in `commands`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "list": "Print each sender's name, whether it is on, and the variable with its secret.",
    "show": "Print a preset as TOML.",
    "test": "Check the senders that FILE declares, and print what a request BODY would become.",
}


@click.group(
    "senders",
    cls=LazyGroup,
    places={
        "list": f"{__name__}.commands:list_",
        "show": f"{__name__}.commands:show",
        "test": f"{__name__}.commands:test",
    },
    summaries=SUMMARIES,
)
def command() -> None:
    """List the senders that are understood, show a preset, or test a description of your own.

    docs/senders/declared.md says how to describe a sender.
    """
