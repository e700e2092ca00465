"""`apitraffic-events github redeliver`"""

from typing import Any, Final

import click

from receiver.cli.connect.github import api_url_option
from receiver.cli.times import TimeType

OUR_PATH: Final = "/webhooks/github"


@click.command()
@click.option("--repository", metavar="OWNER/NAME", help="A webhook of this repository.")
@click.option("--organization", "--organisation", metavar="ORG", help="A webhook of this organisation.")
@click.option("--app", is_flag=True, help="The webhook of a GitHub App.")
@click.option("--hook", type=click.IntRange(min=1), metavar="ID", help="The webhook's number.")
@click.option(
    "--url",
    help=f"The webhook's URL, or the beginning of it.  [default: the webhook whose URL ends in {OUR_PATH}]",
)
@click.option(
    "--since",
    type=TimeType(),
    help="Only events from then on: ISO 8601 (UTC), 2h, 3d or yesterday. "
    "Default: 3d; 7d on GitHub Enterprise Server. That is as long as GitHub keeps deliveries.",
)
@click.option(
    "--event",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only these events, such as deployment* or issues.closed; repeatable.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Redeliver at most this many."
)
@api_url_option
@click.option("--dry-run", is_flag=True, help="Print what would be redelivered; request nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
def redeliver(**given: Any) -> None:
    """Ask GitHub to redeliver failed deliveries.

    It is safe to run this every few minutes: events that have arrived are left alone, recently redelivered
    ones wait some minutes, and the receiver ignores a delivery that it already has.

    Set GITHUB_TOKEN; for an App, set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY, or GITHUB_APP_JWT. Each
    variable can be read from a file instead: NAME_FILE.

    Prints a line for each failed event. Exits with 1 if a redelivery could not be requested.
    """
    from receiver.cli.github import redelivering

    redelivering.redeliver(**given)
