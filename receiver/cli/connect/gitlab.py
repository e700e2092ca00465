"""`apitraffic-events connect gitlab` and `disconnect gitlab`"""

from typing import Any, Final

import click

from receiver.cli.connect.options import connect_options, dry_run_option, url_option
from receiver.cli.urls import ApiUrl

GITLAB_COM: Final = "https://gitlab.com/api/v4"

api_url_option = click.option(
    "--api-url",
    type=ApiUrl(),
    default=GITLAB_COM,
    show_default=True,
    envvar="CI_API_V4_URL",
    help="For a GitLab of your own, https://HOST/api/v4.",
)
group_option = click.option("--group", metavar="GROUP", help="All projects of this group (Premium).")


@click.command()
@click.argument("project", metavar="[GROUP/PROJECT]", required=False)
@group_option
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    help="A further event by its name in GitLab's API, such as confidential_issues_events; repeatable. "
    "Default: those that the configuration in force translates.",
)
@click.option(
    "--secret-token", is_flag=True, help="Use a secret token even if this GitLab can sign (19.0 and newer)."
)
@connect_options
@api_url_option
def connect(**given: Any) -> None:
    """Connect a project or group on GitLab.

    Makes a signing token (GitLab 19.0 and newer) or a secret token, stores it where you say, waits until the
    receiver has it, makes or corrects the webhook, and lets GitLab test it with a push event, which never
    becomes a marker.

    Set GITLAB_TOKEN or GITLAB_TOKEN_FILE: a token with the scope api, of a Maintainer of the project or an
    Owner of the group.

    Exit codes: 0; 1 the test or the receiver failed; 2 wrong usage; 3 no token; 4 GitLab refused; 5 GitLab
    could not be reached.
    """
    from receiver.cli.connect import to_gitlab

    to_gitlab.connect(**given)


@click.command()
@click.argument("project", metavar="[GROUP/PROJECT]", required=False)
@group_option
@url_option
@dry_run_option
@api_url_option
def disconnect(**given: Any) -> None:
    """Remove the webhook of a project or group on GitLab.

    Set GITLAB_TOKEN as for `connect gitlab`. If there is no such webhook, there is nothing to do.
    """
    from receiver.cli.connect import to_gitlab

    to_gitlab.disconnect(**given)
