"""`apitraffic-events deadletters list|show|replay|discard`"""

from typing import Any, Final

import click

from receiver.cli.options import TYPES, CommandT
from receiver.cli.times import TimeType

CAUSES: Final = ("refused", "out_of_time", "unexpected")
"""Those of `receiver.queue.dead_letters`, which is slow to import."""


def _filters(function: CommandT) -> CommandT:
    """The options that become a `DeadLetterFilter`."""
    options = (
        click.option("--source", metavar="NAME", help="Only from this sender, such as github."),
        click.option(
            "--key", metavar="PATTERN", help="Only with a marker key that matches this shell pattern."
        ),
        click.option(
            "--code", metavar="CODE", help="Only with this error code of the API, or this HTTP status."
        ),
        click.option("--type", type=click.Choice(TYPES), help="Only of this type."),
        click.option("--cause", type=click.Choice(CAUSES), help="Only with this cause."),
        click.option(
            "--since",
            type=TimeType(),
            help="Only given up then or later: ISO 8601 (UTC), 2h, 3d or yesterday.",
        ),
        click.option("--until", type=TimeType(), help="Only given up then or earlier."),
        click.option("--account", metavar="NAME", help="Only for this account of apitraffic.toml."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _chosen(function: CommandT) -> CommandT:
    """The arguments that choose dead letters: NAME…, filters or --all."""
    function = click.option("--all", "everything", is_flag=True, help="All dead letters.")(_filters(function))
    return click.argument("names", metavar="[NAME]...", nargs=-1)(function)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@_filters
def list_(**given: Any) -> None:
    """List dead letters, oldest first.

    Prints a table on a terminal. In a pipe, prints one line for each with columns two spaces apart; an empty
    column is -.
    """
    from receiver.cli.deadletters import letters

    letters.list_(**given)


@click.command()
@click.argument("name")
def show(**given: Any) -> None:
    """Print one dead letter as JSON, with the whole change and the error.

    NAME is what `list` prints.
    """
    from receiver.cli.deadletters import letters

    letters.show(**given)


@click.command()
@_chosen
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what comes of them; 0 does not wait.",
)
def replay(**given: Any) -> None:
    """Put dead letters back into the queue.

    Choose them by NAME as `list` prints it, by filters, or with --all. They are delivered as if they had just
    been accepted: an event that the API already has is not created again, and a change that the API refuses
    again becomes a dead letter again.

    Waits for a while and says on standard error what came of them. Exits with 1 if any is dead again.
    """
    from receiver.cli.deadletters import letters

    letters.replay(**given)


@click.command()
@_chosen
def discard(**given: Any) -> None:
    """Delete dead letters. This cannot be undone.

    Choose them by NAME as `list` prints it, by filters, or with --all.
    """
    from receiver.cli.deadletters import letters

    letters.discard(**given)
