"""`apitraffic-events trigger`"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click

from apitraffic_events.timestamps import now
from receiver.cli.options import data_dir_option, url_option
from receiver.cli.tables import columns
from receiver.local.sample_catalogue import CATALOGUE, FAILED, NORMAL, RESOLVED
from receiver.local.sample_deliveries import delivery_of

HEADINGS: Final = ("SAMPLE", "OPTION", "WHAT HAPPENS")
ENDINGS: Final = {NORMAL: "", FAILED: ", and it fails", RESOLVED: " and is resolved"}


class SampleName(click.Choice[str]):
    """A sender's name stands for its first sample. The message is short: all names would fill the screen."""

    def __init__(self) -> None:
        super().__init__(tuple(CATALOGUE))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        first = next((name for name in CATALOGUE if name.startswith(f"{value}.")), value)
        return super().convert(first, param, ctx)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        similar = get_close_matches(str(value), CATALOGUE, n=1)
        hint = f"did you mean {similar[0]}? " if similar else ""
        return f"there is no sample {value!r}; {hint}`apitraffic-events trigger` lists all."


@click.command("trigger")
@click.argument("name", metavar="[SAMPLE]", type=SampleName(), required=False)
@click.option("--failed", "outcome", flag_value=FAILED, help="The deployment or build has failed.")
@click.option("--resolved", "outcome", flag_value=RESOLVED, help="The incident or alert is over.")
@click.option("--print", "is_printed", is_flag=True, help="Print the payload; send nothing.")
@url_option
@data_dir_option
def command(
    name: str | None, outcome: str | None, url: str | None, data_dir: Path, *, is_printed: bool
) -> None:
    """Send a realistic delivery, signed as its sender would.

    Each has new ids and has just happened, so that each makes a marker of its own. Without SAMPLE, lists the
    samples; a sender's name, such as github, is its first one. Prints the response, and exits with 1 if it is
    an error or if the delivery went to the quarantine.

    The receiver delivers the marker as any other: if it is connected to your account, the marker appears on
    your charts.
    """
    if name is None:
        if outcome:
            raise click.UsageError("Give a SAMPLE; without one, the samples are listed.")
        _list()
        return
    offer = CATALOGUE[name]
    sample = offer.samples.get(outcome or NORMAL)
    if sample is None:
        fitting = ", ".join(other for other, each in CATALOGUE.items() if outcome in each.samples)
        raise click.UsageError(f"{name} has no --{outcome}; those that have it: {fitting}.")
    delivery = delivery_of(sample, now())
    if is_printed:
        click.echo(delivery.body.decode())
        return
    from receiver.cli.failures import configuration_errors_in_words
    from receiver.cli.send.sending import send_delivery
    from receiver.config.loading import load_settings
    from receiver.sources.signing import SENDERS

    with configuration_errors_in_words():
        settings = load_settings()
    send_delivery(
        SENDERS[delivery.source],
        delivery.source,
        delivery.event,
        delivery.body,
        delivery=delivery.delivery_id,
        url=url,
        settings=settings,
        data_dir=data_dir,
    )


def _list() -> None:
    rows = [
        (name, f"--{outcome}" if outcome else "", f"{offer.what}{ENDINGS[outcome]}")
        for name, offer in CATALOGUE.items()
        for outcome in offer.samples
    ]
    for line in columns(HEADINGS, rows):
        click.echo(line)
