"""`apitraffic-events connect github` and `disconnect github`"""

from typing import Any, Final

import click

from receiver.cli.connect.options import connect_options, dry_run_option, url_option
from receiver.cli.urls import ApiUrl

GITHUB_COM: Final = "https://api.github.com"

api_url_option = click.option(
    "--api-url",
    type=ApiUrl(),
    default=GITHUB_COM,
    show_default=True,
    envvar="GITHUB_API_URL",
    help="For GitHub Enterprise Server, https://HOST/api/v3.",
)
organization_option = click.option(
    "--organization", "--organisation", metavar="ORG", help="All repositories of this organisation."
)


@click.command()
@click.argument("repository_name", metavar="[OWNER/NAME]", required=False)
@organization_option
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    help="A further event, such as workflow_run; repeatable. Default: those that the configuration in force "
    "translates.",
)
@connect_options
@api_url_option
def connect(**given: Any) -> None:
    """Connect a repository or organisation on GitHub.

    Makes a secret, stores it where you say, waits until the receiver has it, makes or corrects the webhook
    and waits for GitHub's ping to arrive. Events that somebody else has added to the webhook stay.

    Set GITHUB_TOKEN or GITHUB_TOKEN_FILE. A classic token needs the scope admin:repo_hook or
    admin:org_hook, a fine-grained one the permission “Webhooks: read and write”.

    Exit codes: 0; 1 the ping or the receiver failed; 2 wrong usage; 3 no token; 4 GitHub refused; 5 GitHub
    could not be reached.
    """
    from receiver.cli.connect import to_github

    to_github.connect(**given)


@click.command()
@click.argument("repository_name", metavar="[OWNER/NAME]", required=False)
@organization_option
@url_option
@dry_run_option
@api_url_option
def disconnect(**given: Any) -> None:
    """Remove the webhook of a repository or organisation on GitHub.

    Set GITHUB_TOKEN as for `connect github`. If there is no such webhook, there is nothing to do.
    """
    from receiver.cli.connect import to_github

    to_github.disconnect(**given)
