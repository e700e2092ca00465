"""What the markers of `tests.support.story` say in the end, and on the way there: every line, every fact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.support.stack import Stack
from tests.support.story import BACK, C1, C2, FLAG, INCIDENT, REPOSITORY, RESOLVED, V1, V2, Story

V2_NAME: Final = "Deploy acme/checkout v2.4.0 to production"
FLAG_NAME: Final = "Feature flag new-cart turned on"
FLAG_PAGE: Final = "https://app.launchdarkly.com/web/production/features/new-cart"
PAGE: Final = "https://acme.pagerduty.com/incidents/Q1EXAMPLE00001"
OPEN: Final = "#1842 Checkout latency above 2 s"
CLOSED: Final = "#1842 Checkout latency above 2 s (P1)"
"""PagerDuty gives it a priority in the meantime."""
SUSPECTS: Final = [
    f"20 min before: {V2_NAME} ({REPOSITORY}/actions/runs/102/job/1025)",
    f"30 min before: {FLAG_NAME} ({FLAG_PAGE})",
]


@dataclass(frozen=True, slots=True)
class Told:
    """What one marker says."""

    name: str
    lines: list[str]
    metadata: dict[str, Any]

    def without(self, line: str, *facts: str) -> "Told":
        """The same before a line that begins so, and these facts, were added."""
        return replace(
            self,
            lines=[each for each in self.lines if not each.startswith(line)],
            metadata={name: fact for name, fact in self.metadata.items() if name not in facts},
        )


def told(stack: Stack) -> dict[str, Told]:
    """What the API lists now; raises AssertionError if a marker is there twice."""
    events = stack.events()
    found = {
        event["metadata"]["marker_key"]: Told(
            event["name"], (event["description"] or "").splitlines(), event["metadata"]
        )
        for event in events
    }
    assert len(found) == len(events), sorted(event["metadata"]["marker_key"] for event in events)
    return found


def in_the_end(story: Story) -> dict[str, Told]:
    """All five markers, once everything has been delivered and judged."""
    return {
        V1: Told(
            "Deploy acme/checkout v2.3.0 to production",
            [
                "Succeeded after 2 min, deployed by alice.",
                "15 min after: errors 0.33 % → 0.33 %, mean response 145 → 145 ms, 600 requests",
            ],
            _deploy(story, V1, 101, "v2.3.0", C1) | {"verdict": "same"},
        ),
        FLAG: Told(
            FLAG_NAME,
            ["For the sale", f"30 min later an incident began: {CLOSED} ({PAGE})"],
            {
                "flag": "new-cart",
                "project": "web",
                "environment": "production",
                "actor": "Ada Example",
                "change": "updateOn",
                "url": FLAG_PAGE,
                "marker_key": FLAG,
                "delivery_id": FLAG.partition(":")[2],
                "incidents_after": [CLOSED],
            },
        ),
        V2: Told(
            f"{V2_NAME} (worse)",
            [
                "Succeeded after 2 min, deployed by alice.",
                f"Before: v2.3.0, deployed 1 h earlier. {REPOSITORY}/compare/{C1}...{C2}",
                f"Changed since then: {FLAG_NAME} ({FLAG_PAGE})",
                "15 min after: errors 0.33 % → 2.2 %, mean response 145 → 310 ms, 600 requests",
                f"20 min later an incident began: {CLOSED} ({PAGE})",
            ],
            _deploy(story, V2, 102, "v2.4.0", C2)
            | {
                "previous_version": "v2.3.0",
                "previous_commit": C1,
                "previous_deployed_at": story.written(0),
                "compare_url": f"{REPOSITORY}/compare/{C1}...{C2}",
                "changed_since": 1,
                "verdict": "worse",
                "incidents_after": [CLOSED],
            },
        ),
        INCIDENT: Told(
            CLOSED,
            ["Resolved by Ada Example after 30 min.", *SUSPECTS],
            _incident(story, RESOLVED) | {"status": "resolved", "actor": "Ada Example", "teams": "Shop"},
        ),
        BACK: Told(
            "Roll back acme/checkout to v2.3.0 in production (better)",
            [
                "Succeeded after 2 min, deployed by alice.",
                (
                    "Rollback to v2.3.0 from v2.4.0, deployed 30 min earlier. "
                    f"{REPOSITORY}/compare/{C2}...{C1}"
                ),
                "15 min after: errors 2.2 % → 0.33 %, mean response 310 → 145 ms, 600 requests",
            ],
            _deploy(story, BACK, 103, C1, C1)
            | {
                "previous_version": "v2.4.0",
                "previous_commit": C2,
                "previous_deployed_at": story.written(60),
                "compare_url": f"{REPOSITORY}/compare/{C2}...{C1}",
                "course": "rollback",
                "verdict": "better",
            },
        ),
    }


def along_the_way(story: Story) -> Mapping[str, dict[str, Told]]:
    """What is sent -> what the markers say once that is delivered, and what they did before."""
    end = in_the_end(story)
    opened = Told(
        OPEN,
        ["Triggered automatically on checkout.", *SUSPECTS],
        _incident(story, INCIDENT) | {"severity": "high", "status": "triggered"},
    )
    unaware = {
        FLAG: end[FLAG].without("30 min later", "incidents_after"),
        V2: end[V2].without("20 min later", "incidents_after"),
    }
    aware = {key: _renamed(end[key]) for key in unaware}
    return {
        V1: {V1: end[V1]},
        FLAG: {V1: end[V1], FLAG: unaware[FLAG]},
        V2: {V1: end[V1]} | unaware,
        INCIDENT: {V1: end[V1], INCIDENT: opened} | aware,
        BACK: {V1: end[V1], INCIDENT: opened, BACK: end[BACK]} | aware,
        RESOLVED: end,
    }


def _renamed(change: Told) -> Told:
    """What a change says of the incident before that has its priority."""
    return replace(
        change,
        lines=[line.replace(CLOSED, OPEN) for line in change.lines],
        metadata=change.metadata | {"incidents_after": [OPEN]},
    )


def _deploy(story: Story, key: str, number: int, ref: str, commit: str) -> dict[str, Any]:
    run = f"{REPOSITORY}/actions/runs/{number}"
    return {
        "repository": "acme/checkout",
        "repository_url": REPOSITORY,
        "environment": "production",
        "environment_url": "https://checkout.acme.test",
        "production": True,
        "ref": ref,
        "commit": commit,
        "short_commit": commit[:7],
        "task": "deploy",
        "trigger": "release",
        "workflow": "Deploy",
        "job": "deploy (production)",
        "check_run_id": f"{number}5",
        "run_id": str(number),
        "run_attempt": "1",
        "run_number": "415",
        "run_url": run,
        "url": f"{run}/job/{number}5",
        "actor": "alice",
        "deployment_id": str(number),
        "status": "success",
        "marker_key": key,
        "delivery_id": story.webhooks[key][-1].id,
    }


def _incident(story: Story, key: str) -> dict[str, Any]:
    return {
        "incident_id": "Q1EXAMPLE00001",
        "incident_number": "1842",
        "incident_type": "incident_default",
        "service": "checkout",
        "service_id": "PSVC001",
        "service_url": "https://acme.pagerduty.com/service-directory/PSVC001",
        "severity": "P1",
        "urgency": "high",
        "assignees": "Ada Example",
        "escalation_policy": "Default",
        "url": PAGE,
        "marker_key": INCIDENT,
        "delivery_id": story.webhooks[key][-1].id,
        "suspects": [V2_NAME, FLAG_NAME],
    }
