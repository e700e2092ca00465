"""`apitraffic-events connect github|gitlab|pagerduty|jenkins`: one module per sender."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "github": "Connect a repository or organisation on GitHub.",
    "gitlab": "Connect a project or group on GitLab.",
    "pagerduty": "Connect a PagerDuty account, or one service or team of it.",
    "jenkins": "Connect a job on Jenkins that has the Notification plugin.",
}


@click.group(
    "connect",
    cls=LazyGroup,
    places={name: f"{__name__}.{name}:connect" for name in SUMMARIES},
    summaries=SUMMARIES,
)
def command() -> None:
    """Make a sender's webhook through its API, and see that its ping arrives.

    Run it again at any time: what is as it should be stays, and webhooks with another address are left alone.
    """
