"""`apitraffic-events events`: the commands are in `reading` and `writing`."""

import click

from receiver.cli.events.reading import get, list_
from receiver.cli.events.writing import close, create, delete, update


@click.group("events")
def command() -> None:
    """Create, list, change and close events in ApiTraffic.

    These commands call the Events API directly. They need neither the receiver nor Redis, only
    APITRAFFIC_API_TOKEN and APITRAFFIC_ACCOUNT_SID.

    Exit codes: 0; 2 wrong usage; 3 not configured; 4 refused by the API; 5 API not reached in time.
    """


for subcommand in (create, list_, get, update, close, delete):
    command.add_command(subcommand)
