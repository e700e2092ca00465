"""`apitraffic-events disconnect`: each command is beside its counterpart of `connect`."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "github": "Remove the webhook of a repository or organisation on GitHub.",
    "gitlab": "Remove the webhook of a project or group on GitLab.",
    "pagerduty": "Remove the webhook subscription of a PagerDuty account, service or team.",
    "jenkins": "Remove the endpoint of a job on Jenkins.",
}


@click.group(
    "disconnect",
    cls=LazyGroup,
    places={name: f"receiver.cli.connect.{name}:disconnect" for name in SUMMARIES},
    summaries=SUMMARIES,
)
def command() -> None:
    """Remove the webhook that `connect` has made.

    Only a webhook with exactly the receiver's address is removed. The receiver keeps its secret.
    """
