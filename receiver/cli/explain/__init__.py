"""`apitraffic-events explain`"""

from typing import Any

import click

from receiver.cli.options import timeout_option


@click.command("explain")
@click.argument("name", metavar="DELIVERY|KEY|SID")
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(**given: Any) -> None:
    """Show what became of a delivery, a marker or an event.

    Give the id of a delivery (or SOURCE:ID), a marker's key or an event's SID. Shows when it was accepted,
    which changes became one marker, what waits or failed, and the event as the API has it now. Reads Redis
    and the API, and changes nothing.

    Exits with 1 if nothing is known of it.
    """
    from receiver.cli.explain import story

    story.tell(**given)
