"""`apitraffic-events events check|create|list|get|update|close|delete`"""

from datetime import timedelta
from typing import Any, Final

import click

from receiver.cli.events.options import (
    STATUSES,
    previous_option,
    scope_options,
    text_options,
    time_options,
    write_options,
)
from receiver.cli.options import TYPES, every_option, json_option, timeout_option
from receiver.cli.times import LengthType, TimeType

FIRST_EVENTS: Final = 25
LONGEST_CHECK: Final = timedelta(hours=4)
FAIL_ON: Final = ("worse", "unknown")
"""Verdicts that may fail a pipeline."""


@click.command()
@click.argument("event")
@click.option(
    "--after",
    type=LengthType(timedelta(minutes=1), LONGEST_CHECK),
    metavar="DURATION",
    help="How long after its end, such as 15m or 1h.  [default: `after` in [verdict], which is 15m]",
)
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    multiple=True,
    help="Exit with 1 if this is the verdict; repeatable.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until that long after its end.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to retry while the API fails, and to look for an event that is not there or not over yet.",
)
@json_option
@click.pass_context
def check(context: click.Context, /, **given: Any) -> None:
    """Say what a deploy did to the API's traffic.

    EVENT is an event's SID or the key of its marker, of the last seven days. Takes the verdict that the
    marker has, and otherwise compares the traffic before the deploy with that after it: how many requests
    failed, and how long a response took.

    Made for pipelines: whatever happens, the exit code is 0 unless --fail-on says otherwise.
    """
    from receiver.cli.events import checking

    checking.check(context, **given)


@click.command("list")
@click.option("--type", type=click.Choice(TYPES), help="Only events of this type.")
@click.option(
    "--since",
    type=TimeType(),
    help="Only events that started then or later: ISO 8601 (UTC), 2h, 3d or yesterday.",
)
@click.option("--until", type=TimeType(), help="Only events that started then or earlier.")
@click.option("--bucket", metavar="NAME", help="Only events on this bucket's charts, by name or SID.")
@click.option(
    "--environments",
    "environment",
    metavar="NAME",
    help="Only events on this environment's charts, by name or SID.",
)
@click.option("--environment", "former", hidden=True)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=FIRST_EVENTS,
    show_default=True,
    help="Only the latest, at most this many.",
)
@click.option("--all", "everything", is_flag=True, help="All events, however many requests that takes.")
@click.option(
    "--watch",
    is_flag=True,
    help="Refresh until Ctrl-C. In a pipe, print events that are new or have changed.",
)
@every_option
@timeout_option
@json_option
def list_(**given: Any) -> None:
    """List the latest events, newest first.

    Prints a table on a terminal. In a pipe, prints one line per event with columns two spaces apart; an empty
    column is -.
    """
    from receiver.cli.events import reading

    reading.list_(**given)


@click.command()
@click.argument("sid")
@timeout_option
@json_option
def get(**given: Any) -> None:
    """Show an event with all its fields."""
    from receiver.cli.events import reading

    reading.get(**given)


@click.command()
@click.option(
    "--type", type=click.Choice(TYPES), default=TYPES[0], show_default=True, help="Type of the event."
)
@text_options
@scope_options
@time_options
@click.option("--to", metavar="ENVIRONMENT", help="Where it was deployed, such as production.")
@click.option("--version", help="What was deployed, such as v2.3.1.")
@click.option("--status", type=click.Choice(STATUSES), help="How the deployment went; the name shows it too.")
@click.option(
    "--marker-key",
    metavar="KEY",
    help="Make only one event with this key, even if the command is repeated within an hour.",
)
@click.option("--from-ci", is_flag=True, help="Take what is not given from the CI job in which this runs.")
@previous_option
@write_options
def create(**given: Any) -> None:
    """Create an event.

    A deployment gets a name from what is known, such as `Deploy acme/shop v2.3.1 to production`; other types
    need --name. If the event already exists, because a webhook reported the same deployment or because this
    command ran before with the same --marker-key, it is updated instead.

    --from-ci supports GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite, Azure Pipelines and Bitbucket
    Pipelines.
    """
    from receiver.cli.events import writing

    writing.create(**given)


@click.command()
@click.argument("sid")
@text_options
@scope_options
@time_options
@click.option("--reopen", is_flag=True, help="Remove the end of the event.")
@write_options
def update(**given: Any) -> None:
    """Change the given fields of an event; other fields stay as they are.

    --metadata adds to the event's metadata; NAME= removes a name.
    """
    from receiver.cli.events import writing

    writing.update(**given)


@click.command()
@click.argument("sid")
@click.option("--description", help="How it ended; added below the description.")
@click.option("--ended-at", type=TimeType(), help="When it ended.  [default: now]")
@write_options
def close(**given: Any) -> None:
    """End an event, such as an incident.

    An event that has already ended stays as it is, unless --ended-at is given.
    """
    from receiver.cli.events import writing

    writing.close(**given)


@click.command()
@click.argument("sid")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@write_options
def delete(**given: Any) -> None:
    """Delete an event. This cannot be undone.

    Shows the event and asks for confirmation, unless --yes is given.
    """
    from receiver.cli.events import writing

    writing.delete(**given)
