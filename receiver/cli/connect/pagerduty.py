"""`apitraffic-events connect pagerduty` and `disconnect pagerduty`"""

from typing import Any, Final

import click

from receiver.cli.connect.options import connect_options, dry_run_option, url_option
from receiver.cli.urls import ApiUrl

PAGERDUTY_COM: Final = "https://api.pagerduty.com"

api_url_option = click.option(
    "--api-url",
    type=ApiUrl(),
    default=PAGERDUTY_COM,
    show_default=True,
    help="For the European service region, https://api.eu.pagerduty.com.",
)
service_option = click.option("--service", metavar="ID|NAME", help="Only this service's incidents.")
team_option = click.option("--team", metavar="ID", help="Only this team's incidents.")


@click.command()
@service_option
@team_option
@connect_options
@api_url_option
def connect(**given: Any) -> None:
    """Connect a PagerDuty account, or one service or team of it.

    Makes or corrects the webhook subscription. PagerDuty makes its secret and shows it once: it is stored
    where you say, beside those that are there. Then waits until the receiver has it, and lets PagerDuty ping.

    Set PAGERDUTY_TOKEN or PAGERDUTY_TOKEN_FILE: an API key with write access.

    Exit codes: 0; 1 the ping or the receiver failed; 2 wrong usage; 3 no token; 4 PagerDuty refused;
    5 PagerDuty could not be reached.
    """
    from receiver.cli.connect import to_pagerduty

    to_pagerduty.connect(**given)


@click.command()
@service_option
@team_option
@url_option
@dry_run_option
@api_url_option
def disconnect(**given: Any) -> None:
    """Remove the webhook subscription of a PagerDuty account, service or team.

    Set PAGERDUTY_TOKEN as for `connect pagerduty`. If there is no such subscription, there is nothing to do.
    """
    from receiver.cli.connect import to_pagerduty

    to_pagerduty.disconnect(**given)
