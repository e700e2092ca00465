"""`apitraffic-events doctor`"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from receiver.cli import consoles
from receiver.cli.local_system import ACCOUNT, QUEUE, environment_for
from receiver.doctor.examination import examine
from receiver.doctor.findings import Finding, FindingState

MARKS: Final = {
    FindingState.OK: ("✓", "green"),
    FindingState.WARNING: ("!", "bold yellow"),
    FindingState.FAILURE: ("✗", "bold red"),
}
WIDTH_WHEN_PIPED: Final = 120
WIDEST_CHECK: Final = len("route_environments")
EXAMPLE: Final = "Write an http or https URL, such as https://hooks.example.com."


class ReceiverUrl(click.ParamType[str]):
    """The receiver's base URL, or a sender's URL with /webhooks/… at the end."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
        except ValueError:
            self.fail(EXAMPLE)
        if parts.username or parts.password:
            self.fail("It holds a user name or password; leave them out.")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            self.fail(EXAMPLE)
        base, _, _ = parts.path.partition("/webhooks/")
        return f"{parts.scheme}://{parts.netloc}{base}".rstrip("/")


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
    environment = environment_for(ACCOUNT, QUEUE, with_secrets=True)
    examination = examine(environment, url, posts_notice)
    if as_json:
        findings = list(examination)
        is_well = _is_well(findings)
        report = {"ok": is_well, "checks": [finding.as_json() for finding in findings]}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        is_well = printed(examination)
    sys.exit(0 if is_well else 1)


def printed(examination: Iterable[Finding]) -> bool:
    """Print the findings and a summary. Returns whether there is no failure."""
    findings = list(_printed(examination))
    click.echo(_summary(findings))
    return _is_well(findings)


def _is_well(findings: Iterable[Finding]) -> bool:
    return all(finding.state is not FindingState.FAILURE for finding in findings)


def _printed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, each printed as soon as it is there: some take seconds."""
    console = consoles.output(width_when_piped=WIDTH_WHEN_PIPED)
    for finding in findings:
        mark, style = MARKS[finding.state]
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=WIDEST_CHECK)
        table.add_column(overflow="fold")
        table.add_row(Text(mark, style), Text(finding.check), Text(finding.found))
        if finding.advice:
            table.add_row("", "", Text(f"→ {finding.advice}", "bold"))
        with console.capture() as printed:
            console.print(table)
        for line in printed.get().splitlines():
            click.echo(line.rstrip())
        yield finding


def _summary(findings: Sequence[Finding]) -> str:
    failures, warnings = (
        sum(finding.state is state for finding in findings)
        for state in (FindingState.FAILURE, FindingState.WARNING)
    )
    if not failures and not warnings:
        return "All is well."
    return f"{failures} ✗  {warnings} !  {len(findings) - failures - warnings} ✓"
