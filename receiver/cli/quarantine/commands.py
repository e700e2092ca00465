"""`apitraffic-events quarantine list|show|replay|discard`"""

from typing import Any

import click

from receiver.cli.options import CommandT


def _chosen(function: CommandT) -> CommandT:
    """The arguments that choose deliveries: NAME… or --all."""
    function = click.option("--all", "everything", is_flag=True, help="All deliveries in quarantine.")(
        function
    )
    return click.argument("names", metavar="[NAME]...", nargs=-1)(function)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
def list_(**given: Any) -> None:
    """List deliveries in quarantine, oldest first.

    Prints a table on a terminal. In a pipe, prints one line for each with columns two spaces apart.
    """
    from receiver.cli.quarantine import kept

    kept.list_(**given)


@click.command()
@click.argument("name")
def show(**given: Any) -> None:
    """Print a whole delivery as JSON.

    NAME is what `list` prints.
    """
    from receiver.cli.quarantine import kept

    kept.show(**given)


@click.command()
@_chosen
def replay(**given: Any) -> None:
    """Accept deliveries again, for example after an upgrade.

    Choose them by NAME as `list` prints it, or with --all. A delivery that can be translated now is queued
    and leaves the quarantine. Exits with 1 if any stays there.
    """
    from receiver.cli.quarantine import kept

    kept.replay(**given)


@click.command()
@_chosen
def discard(**given: Any) -> None:
    """Delete deliveries from quarantine. This cannot be undone.

    Choose them by NAME as `list` prints it, or with --all.
    """
    from receiver.cli.quarantine import kept

    kept.discard(**given)
