"""`apitraffic-events status`"""

from typing import Any

import click

from receiver.cli.options import every_option


@click.command("status")
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@every_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object; with --watch, one per line.")
def command(**given: Any) -> None:
    """Show what waits to be delivered, since when, and the workers.

    Reads Redis and this host's spool, and sends nothing to the API.

    Exit codes: 0; 3 not configured; 5 Redis could not be reached. The spool is shown nevertheless.
    """
    from receiver.cli.status import snapshot

    snapshot.show(**given)
