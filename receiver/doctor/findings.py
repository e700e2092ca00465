"""The result of a check, and what to do about it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from apitraffic_events.text import one_line

LONGEST_TEXT = 600


class FindingState(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, but somebody should look at it."""
    FAILURE = "failure"
    """Markers are not created, or may be lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a stable name, `found` the result, and `advice` what to do if that is a problem."""

    check: str
    state: FindingState
    found: str
    advice: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """The fields of `doctor --json`. They stay as they are; new ones may be added."""
        return {"check": self.check, "state": self.state.value, "found": self.found, "advice": self.advice}


def of_account(name: str, finding: Finding) -> Finding:
    """The same, of an account in apitraffic.toml: `line@emea` stands beside `line`."""
    return replace(finding, check=f"{finding.check}@{name}", found=f"account {name}: {finding.found}")


def ok(check: str, found: str) -> Finding:
    return Finding(check, FindingState.OK, one_line(found, LONGEST_TEXT))


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, FindingState.WARNING, one_line(found, LONGEST_TEXT), advice)


def failure(check: str, found: str, advice: str) -> Finding:
    return Finding(check, FindingState.FAILURE, one_line(found, LONGEST_TEXT), advice)
