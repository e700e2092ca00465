"""`apitraffic-events github redeliver`: the commands are in `commands`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "redeliver": "Ask GitHub to redeliver failed deliveries.",
}


@click.group(
    "github",
    cls=LazyGroup,
    places={
        "redeliver": f"{__name__}.commands:redeliver",
    },
    summaries=SUMMARIES,
)
def command() -> None:
    """Redeliver webhook deliveries that failed.

    GitHub attempts each delivery once and never retries by itself.
    """
