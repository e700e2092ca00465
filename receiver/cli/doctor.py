"""`apitraffic-events doctor`"""

import json
import sys

import click

from receiver.cli.urls import ReceiverUrl


@click.command("doctor")
@click.option(
    "--url",
    type=ReceiverUrl(),
    help="The receiver's URL as senders reach it. It is sent a signed ping for each source.",
)
@click.option("--notify", "posts_notice", is_flag=True, help="Post a sample notice to people, who read it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, url: str | None, posts_notice: bool, as_json: bool) -> None:
    """Find common problems and say what to do.

    Checks the configuration, the sources' secrets, Redis, the spool, the queues, and the Events API with its
    token, account, scopes, request budget and clock. Changes nothing. Exits with 1 if anything is marked ✗.
    """
    from receiver.cli.error_messages import env_file_hint
    from receiver.cli.findings import are_well, noted, printed
    from receiver.cli.local_system import ACCOUNT, QUEUE, environment_for
    from receiver.doctor.examination import examine

    environment = environment_for(ACCOUNT, QUEUE, with_secrets=True)
    examination = examine(environment, url, posts_notice)
    if as_json:
        findings = list(examination)
        is_well = are_well(findings)
        report = {"ok": is_well, "checks": [finding.as_json() for finding in findings]}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        findings = []
        is_well = printed(noted(examination, findings))
        hint = env_file_hint("\n".join(finding.found for finding in findings), environment)
        if hint:
            click.echo(hint)
    sys.exit(0 if is_well else 1)
