"""Prints what `doctor` finds, each finding as soon as it is there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click
from rich.text import Text

from receiver.cli import consoles
from receiver.cli.consoles import print_wrapped
from receiver.doctor.findings import Finding, FindingState

MARKS: Final = {
    FindingState.OK: ("✓", "green"),
    FindingState.WARNING: ("!", "bold yellow"),
    FindingState.FAILURE: ("✗", "bold red"),
}
WIDTH_WHEN_PIPED: Final = 120
WIDEST_CHECK: Final = len("route_environments")


def printed(examination: Iterable[Finding]) -> bool:
    """Print the findings and a summary. Returns whether there is no failure."""
    findings = list(_printed(examination))
    click.echo(_summary(findings))
    return are_well(findings)


def noted(examination: Iterable[Finding], findings: list[Finding]) -> Iterator[Finding]:
    """The same findings as they come, added to the list."""
    for finding in examination:
        findings.append(finding)
        yield finding


def are_well(findings: Iterable[Finding]) -> bool:
    return all(finding.state is not FindingState.FAILURE for finding in findings)


def _printed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, each printed as soon as it is there: some take seconds."""
    console = consoles.output(width_when_piped=WIDTH_WHEN_PIPED)
    for finding in findings:
        mark, style = MARKS[finding.state]
        start = f" {finding.check:<{WIDEST_CHECK}} "
        lines = [Text.assemble((mark, style), start, finding.found)]
        if finding.advice:
            lines.append(Text.assemble(" " * (len(start) + 1), (f"→ {finding.advice}", "bold")))
        for line in lines:
            print_wrapped(line, console, indent=len(start) + 1)
        yield finding


def _summary(findings: Sequence[Finding]) -> str:
    failures, warnings = (
        sum(finding.state is state for finding in findings)
        for state in (FindingState.FAILURE, FindingState.WARNING)
    )
    if not failures and not warnings:
        return "All is well."
    return f"{failures} ✗  {warnings} !  {len(findings) - failures - warnings} ✓"
