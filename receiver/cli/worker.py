"""`apitraffic-events worker`"""

import click

from receiver.cli.failures import configuration_errors_in_words
from receiver.config import load_settings
from receiver.logs import configure_logging
from receiver.worker import run_worker


@click.command("worker")
def command() -> None:
    """Deliver what the receiver has accepted to the Events API.

    Start as many as needed, on as many hosts. SIGTERM lets the job in hand finish.
    """
    configure_logging()
    with configuration_errors_in_words():
        run_worker(load_settings())
