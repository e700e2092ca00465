"""What `gitlab redeliver` does."""

import sys
from time import sleep

import click

from receiver.cli.connect.flow import address_of, sender_problems
from receiver.cli.connect.to_gitlab import gitlab_of
from receiver.senders_api.gitlab import undelivered


def redeliver(
    project: str | None, group: str | None, url: str, limit: int, api_url: str, *, dry_run: bool
) -> None:
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
