"""`apitraffic-events tail`"""

from typing import Any, Final

import click

STATUSES: Final = (
    "accepted",
    "ignored",
    "duplicate",
    "quarantined",
    "refused",
    "delivered",
    "given_up",
    "to_retry",
)
"""Those of `receiver.monitoring.following`, which is slow to import."""


@click.command("tail")
@click.option("--source", "sources", metavar="NAME", multiple=True, help="Only of this sender; repeatable.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES),
    metavar="STATUS",
    multiple=True,
    help=f"Only with this status: {', '.join(STATUSES)}; repeatable.",
)
@click.option(
    "--text",
    default="",
    help="Only with this text in the delivery's id or event, the repository, the marker or the reason.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many earlier lines to show first.",
)
@click.option("--ids", is_flag=True, help="Show the ids of deliveries, for `explain`.")
@click.option(
    "--no-follow",
    is_flag=True,
    help="Do not wait for more. What has been delivered is shown as accepted: the log does not record when "
    "that was.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
def command(**given: Any) -> None:
    """Show deliveries as they come in, and what becomes of them.

    Ctrl-C ends it. A delivery is accepted, ignored, a duplicate, quarantined or refused. Each change of an
    accepted one is then delivered, to be retried, or given up. The log of deliveries in Redis holds the last
    three days.
    """
    from receiver.cli.tail import following

    following.follow(**given)
