"""`apitraffic-events what-changed`"""

from typing import Any, Final

import click

from receiver.cli.options import TYPES, timeout_option
from receiver.cli.times import TimeType

FIRST_CHANGES: Final = 20
LONGEST_LOOK: Final = 7 * 24 * 60
"""Minutes."""


@click.command("what-changed")
@click.argument("moment", type=TimeType(), required=False)
@click.option("--around", "event", metavar="EVENT", help="Look around the start of this event, in its scope.")
@click.option(
    "--environment",
    metavar="NAME",
    help="Only what happened in this environment, as deploys name it; prod and production are the same.",
)
@click.option("--bucket", metavar="NAME", help="Only events on this bucket's charts, by name or SID.")
@click.option(
    "--minutes",
    type=click.IntRange(1, LONGEST_LOOK),
    default=60,
    show_default=True,
    help="How far to look, before and after.",
)
@click.option(
    "--type", "types", type=click.Choice(TYPES), multiple=True, help="Only events of this type; repeatable."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=FIRST_CHANGES,
    show_default=True,
    help="Only the nearest, at most this many.",
)
@timeout_option
@click.option("--json", "as_object", is_flag=True, help="Print a JSON object.")
def command(**given: Any) -> None:
    """Say what changed before a moment, the nearest first.

    MOMENT is when your charts jumped: 14:05 (UTC, of yesterday if it is still to come today), 20m for twenty
    minutes ago, or ISO 8601; now by default. EVENT is an event's SID, or the key of its marker if it began in
    the last seven days.

    Shows deploys, configuration changes, scalings and incidents around it: how long before or after, how they
    ended, which version ran before and which since, what the traffic did, and links. Events that name no
    environment count for each. What happened before is not necessarily the cause.

    Prints a table on a terminal, and in a pipe one line per event with columns two spaces apart; an empty
    column is -. Reads the Events API only, and needs neither the receiver nor Redis.

    Exit codes: 0, also if nothing changed; 2 wrong usage; 3 not configured; 4 refused by the API; 5 API not
    reached in time.
    """
    from receiver.cli.what_changed import answering

    answering.tell(**given)
