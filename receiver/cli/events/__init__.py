"""`apitraffic-events events`: the commands are in `event_reading` and `event_writing`."""

import click

from receiver.cli.events.reading import get, list_
from receiver.cli.events.writing import close, create, delete, update


@click.group("events")
def command() -> None:
    """Create, list, change and close events in ApiTraffic.

    They go straight to the Events API, without receiver or Redis: APITRAFFIC_API_TOKEN and
    APITRAFFIC_ACCOUNT_SID are all that is needed.

    Exit codes: 0, 2 wrong usage, 3 not configured, 4 refused, 5 could not be reached in time.
    """


for subcommand in (create, list_, get, update, close, delete):
    command.add_command(subcommand)
