"""`apitraffic-events translate`"""

from typing import Any

import click

from receiver.cli.options import SOURCE, header_option


@click.command("translate")
@click.argument("source_name", metavar="SOURCE", type=SOURCE)
@click.argument("file", type=click.File("rb"))
@click.option("--event", help="The event's name, for senders that put it into a header.")
@header_option
def command(**given: Any) -> None:
    """Print what a payload would become, as a JSON list of changes.

    FILE holds the request body as the sender posts it; - reads standard input. Nothing is sent, and neither
    Redis nor a secret is needed. Standard error says which routes match and why. If the delivery would be
    ignored, the list is empty and standard error says why. If it would be quarantined or refused, standard
    error says why and the exit code is 1.
    """
    from receiver.cli.translate import translation

    translation.print_file(**given)
