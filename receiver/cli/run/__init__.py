"""`apitraffic-events run`: a command, and an event that is open while it runs."""

from pathlib import PurePath
from typing import Any

import click

from receiver.cli.events.options import previous_option, scope_options, text_options
from receiver.cli.options import TYPES, timeout_option


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="[--] COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--to", metavar="ENVIRONMENT", help="Where it is deployed, such as production.")
@click.option("--version", help="What is deployed, such as v2.3.1.")
@click.option(
    "--type", type=click.Choice(TYPES), default=TYPES[0], show_default=True, help="Type of the event."
)
@text_options
@scope_options
@click.option("--marker-key", metavar="KEY", help="The key of the event.  [default: that of the CI job]")
@click.option(
    "--receiver-url",
    metavar="URL",
    envvar="APITRAFFIC_RECEIVER_URL",
    help="Send through this receiver, with the secret in APITRAFFIC_RECEIVER_SECRET, instead of to the API.",
)
@previous_option
@timeout_option
@click.option("--quiet", is_flag=True, help="Print nothing but problems.")
def command(
    command: tuple[str, ...],
    *,
    receiver_url: str | None,
    previous: bool,
    timeout: float,
    quiet: bool,
    **given: Any,
) -> None:
    """Run a command, and show it on the charts from its start to its end.

    The event is opened while the command runs and closed by its exit code, as succeeded, failed or (if a
    signal stopped it) cancelled. In a CI job, what is not given comes from there, and the event is the one
    that the CI plugins and webhooks report.

    The command's input, output, signals and exit code are passed on unchanged. A problem with ApiTraffic is
    one line on standard error, whatever it is. Exits with 127 if there is no such command, and 126 if it
    cannot be run.
    """
    from apitraffic_events.timestamps import now
    from receiver.cli.events.fields import Fields
    from receiver.cli.run.child import Child, Stopped
    from receiver.cli.run.report import Report

    fields = Fields(started_at=now(), ended_at=None, status="in_progress", **given)
    child = Child(command)
    report = Report(
        fields,
        PurePath(command[0]).name,
        receiver_url=receiver_url,
        timeout=timeout,
        is_quiet=quiet,
        says_previous=previous,
    )
    with child.started():
        report.open()
        ending = child.wait()
        try:
            report.close(ending)
        except Stopped:
            report.say("ApiTraffic: stopped before the end of the event was reported.")
    ending.exit()
