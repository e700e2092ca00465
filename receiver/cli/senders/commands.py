"""`apitraffic-events senders list|show|test`"""

from pathlib import Path
from typing import Any

import click

from receiver.cli.options import header_option


@click.command("list")
def list_() -> None:
    """Print each sender's name, whether it is on, and the variable with its secret."""
    from receiver.cli.senders import described

    described.list_()


@click.command()
@click.argument("name")
def show(**given: Any) -> None:
    """Print a preset as TOML.

    Copied into apitraffic.toml, and changed there, it replaces the preset.
    """
    from receiver.cli.senders import described

    described.show(**given)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("body", type=click.File("rb"), required=False)
@click.option("--event", help="The event's name, for senders that put it into a header.")
@header_option
def test(**given: Any) -> None:
    """Check the senders that FILE declares, and print what a request BODY would become.

    FILE is apitraffic.toml or another file with [[sender]] in it; if it declares several, BODY is for the
    first one. Exits with 1 if BODY would be quarantined.
    """
    from receiver.cli.senders import described

    described.test(**given)
