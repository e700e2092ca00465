"""`apitraffic-events gitlab redeliver`: the command is in `commands`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "redeliver": "Ask GitLab to resend failed deliveries.",
}


@click.group(
    "gitlab",
    cls=LazyGroup,
    places={"redeliver": f"{__name__}.commands:redeliver"},
    summaries=SUMMARIES,
)
def command() -> None:
    """Resend webhook deliveries that failed.

    GitLab attempts each delivery once and never retries by itself.
    """
