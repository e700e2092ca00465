"""`apitraffic-events gitlab redeliver`"""

import sys
from time import sleep

import click

from receiver.cli.connect.flow import address_of, sender_problems
from receiver.cli.connect.gitlab import api_url_option, gitlab_of, group_option
from receiver.cli.connect.options import dry_run_option, url_option
from receiver.senders_api.gitlab import undelivered


@click.command()
@click.argument("project", metavar="[GROUP/PROJECT]", required=False)
@group_option
@url_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Resend at most this many."
)
@dry_run_option
@api_url_option
def redeliver(
    project: str | None, group: str | None, url: str, limit: int, api_url: str, *, dry_run: bool
) -> None:
    """Ask GitLab to resend failed deliveries.

    Of the last seven days, as long as GitLab keeps them, oldest first. Events that have arrived since are
    left alone, and the receiver ignores a delivery that it already has. GitLab allows five in a minute; this
    waits for it. Needs GitLab 17.4 or newer, and GITLAB_TOKEN as for `connect gitlab`.

    Exit codes: 0; 1 a delivery failed again; 2 wrong usage; 4 GitLab refused; 5 GitLab could not be reached.
    """
    failed = 0
    with gitlab_of(project, group, api_url, sleep) as gitlab, sender_problems():
        hooks = gitlab.at(address_of(url, "gitlab"))
        if not hooks:
            raise click.UsageError("There is no webhook to this address here; `connect gitlab` makes one.")
        for hook in hooks:
            for event in undelivered(gitlab.events(str(hook.id)))[:limit]:
                answer = "would ask" if dry_run else gitlab.resend(str(hook.id), event)
                click.echo(f"{event.trigger}  {event.key}  {event.status}  {answer}")
                failed += not dry_run and not answer.startswith("2")
    sys.exit(1 if failed else 0)
