"""`apitraffic-events gitlab redeliver`"""

from typing import Any

import click

from receiver.cli.connect.gitlab import api_url_option, group_option
from receiver.cli.connect.options import dry_run_option, url_option


@click.command()
@click.argument("project", metavar="[GROUP/PROJECT]", required=False)
@group_option
@url_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Resend at most this many."
)
@dry_run_option
@api_url_option
def redeliver(**given: Any) -> None:
    """Ask GitLab to resend failed deliveries.

    Of the last seven days, as long as GitLab keeps them, oldest first. Events that have arrived since are
    left alone, and the receiver ignores a delivery that it already has. GitLab allows five in a minute; this
    waits for it. Needs GitLab 17.4 or newer, and GITLAB_TOKEN as for `connect gitlab`.

    Exit codes: 0; 1 a delivery failed again; 2 wrong usage; 3 no token; 4 GitLab refused; 5 GitLab could not
    be reached.
    """
    from receiver.cli.gitlab import resending

    resending.redeliver(**given)
