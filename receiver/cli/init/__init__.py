"""`apitraffic-events init`"""

from pathlib import Path
from typing import Any, Final

import click

from receiver.cli.urls import ReceiverUrl
from receiver.config.environment import DEFAULT_CONFIG_FILE

SENDERS: Final = (
    "github",
    "gitlab",
    "gitea",
    "forgejo",
    "jenkins",
    "pagerduty",
    "alertmanager",
    "grafana",
    "annotations",
    "events",
)
"""Those of `receiver.sources.SOURCES`, which is slow to import."""
DEFAULT_ENV_FILE: Final = ".env"
DEFAULT_REDIS: Final = "redis://localhost:6379/0"
DEFAULT_URL: Final = "http://127.0.0.1:8080"
FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("init")
@click.option("--account-sid", metavar="SID", help="The account's SID in ApiTraffic; it begins acc_.")
@click.option(
    "--token-file",
    type=click.File("r"),
    help="The file that holds the API token; - is standard input.  [default: APITRAFFIC_API_TOKEN]",
)
@click.option("--api-url", metavar="URL", help="The Events API, if it is not ApiTraffic's own.")
@click.option("--redis-url", metavar="URL", help=f"The Redis to use.  [default: {DEFAULT_REDIS}]")
@click.option(
    "--sender",
    "senders",
    multiple=True,
    type=click.Choice(SENDERS),
    metavar="NAME",
    help=f"A sender to accept webhooks from: {', '.join(SENDERS)}; repeatable.  [default: github]",
)
@click.option(
    "--url",
    type=ReceiverUrl(),
    help=f"The receiver's URL as senders will reach it.  [default: {DEFAULT_URL}]",
)
@click.option("--env-file", type=FILE, help=f"Where to write the settings.  [default: {DEFAULT_ENV_FILE}]")
@click.option(
    "--toml/--no-toml",
    default=None,
    help=f"Also write an {DEFAULT_CONFIG_FILE} with all other settings, commented out.  [default: no]",
)
@click.option("--no-input", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
def command(**given: Any) -> None:
    """Set up a receiver: ask for what it needs, write it down, and check it.

    Writes a file of environment variables, which Docker, Compose, systemd and shells can read, with a new
    secret for each sender. What the file holds already is kept, so you can run this again. At the end, it
    checks everything as `doctor` does, and exits with 1 if anything is marked ✗.
    """
    from receiver.cli.init import setting_up

    setting_up.set_up(**given)
