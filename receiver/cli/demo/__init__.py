"""`apitraffic-events demo`"""

from typing import Any

import click

from receiver.local.command import data_dir_option, host_option


@click.command("demo")
@host_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port on which the receiver listens.  [default: a free one]",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the local Events API.  [default: a free one]",
)
@data_dir_option
@click.option("--stay", is_flag=True, help="Keep everything running until Ctrl-C.")
@click.option("--verbose", is_flag=True, help="Show what the processes log.")
def command(**given: Any) -> None:
    """Start everything, send signed deliveries, show the resulting markers.

    The demo ignores your configuration, so nothing reaches ApiTraffic or your own Redis.
    """
    from receiver.cli.demo import showing

    showing.show(**given)
