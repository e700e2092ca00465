"""`apitraffic-events send`"""

from typing import Any

import click

from receiver.cli.options import SOURCE, data_dir_option, header_option, url_option


@click.command("send")
@click.argument("source_name", metavar="SOURCE", type=SOURCE)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--event",
    default="",
    help="The event's name at the sender, such as deployment_status. Asked for if the sender needs one.",
)
@url_option
@click.option("--delivery", help="The delivery's ID; use one again to redeliver. Default: a new one.")
@header_option
@data_dir_option
def command(**given: Any) -> None:
    """Sign a payload as the sender would and post it to a receiver.

    FILE holds the request body; - reads standard input. Prints the response, and exits with 1 if it is an
    error or if the delivery went to the quarantine.
    """
    from receiver.cli.send import sending

    sending.send(**given)
