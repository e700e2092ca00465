"""`apitraffic-events connect jenkins` and `disconnect jenkins`"""

from typing import Any

import click

from receiver.cli.connect.options import connect_options, dry_run_option, url_option
from receiver.cli.urls import ApiUrl

jenkins_url_option = click.option(
    "--jenkins-url",
    type=ApiUrl(),
    required=True,
    envvar="JENKINS_URL",
    show_envvar=True,
    help="The address of Jenkins.",
)
user_option = click.option(
    "--user",
    required=True,
    envvar="JENKINS_USER",
    show_envvar=True,
    help="The user whose API token it is.",
)
credential_option = click.option(
    "--credential",
    default="apitraffic-events",
    show_default=True,
    metavar="ID",
    help="The credential in Jenkins that holds the URL with the token.",
)


@click.command()
@click.argument("job", metavar="JOB")
@jenkins_url_option
@user_option
@credential_option
@connect_options
def connect(**given: Any) -> None:
    """Connect a job on Jenkins that has the Notification plugin.

    JOB is its name with folders, such as shop/deploy. Makes a token, stores it where you say, waits until the
    receiver has it, keeps the URL with it in a credential, and adds an endpoint to the job. Jenkins has no
    ping: build the job. All jobs can share one credential.

    Set JENKINS_API_TOKEN or JENKINS_API_TOKEN_FILE.

    Exit codes: 0; 1 the receiver is not ready; 2 wrong usage; 3 no token; 4 Jenkins refused; 5 Jenkins could
    not be reached.
    """
    from receiver.cli.connect import to_jenkins

    to_jenkins.connect(**given)


@click.command()
@click.argument("job", metavar="JOB")
@jenkins_url_option
@user_option
@credential_option
@url_option
@dry_run_option
def disconnect(**given: Any) -> None:
    """Remove the endpoint of a job on Jenkins.

    The credential stays, as other jobs may use it. Set JENKINS_API_TOKEN as for `connect jenkins`.
    """
    from receiver.cli.connect import to_jenkins

    to_jenkins.disconnect(**given)
