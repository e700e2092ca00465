"""`apitraffic-events up`"""

from typing import Any

import click

from receiver.local.command import data_dir_option, host_option


@click.command("up")
@host_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port on which the receiver listens.",
)
@click.option(
    "--api-port",
    type=click.IntRange(1, 65535),
    default=8800,
    show_default=True,
    help="Port of the local Events API. Only this machine can reach it.",
)
@click.option(
    "--console-port",
    type=click.IntRange(1, 65535),
    show_default="8081, or a free one if that is in use",
    help="Port of the console. Only this machine can reach it.",
)
@data_dir_option
def command(**given: Any) -> None:
    """Run receiver, worker, console, Redis and Events API on this machine.

    If REDIS_URL is set, that Redis is used and none is started. If APITRAFFIC_API_TOKEN is set, markers go to
    ApiTraffic and no local Events API is started.
    """
    from receiver.cli.up import running

    running.run(**given)
