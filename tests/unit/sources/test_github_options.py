"""`[github]` in apitraffic.toml."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import Ignored
from receiver.sources.source import translate
from tests.support.github import reason, received
from tests.support.source_fixtures import body_of

RUN = body_of("github", "workflow_run__success")
DEPLOY = body_of("github", "deployment_status__production_success")
ALERT = json.loads(body_of("github", "dependabot_alert__created"))


def test_naming_workflows_turns_their_runs_on_beside_everything_else() -> None:
    assert reason(RUN, "workflow_run", workflows=("Deploy",)) is None
    assert reason(DEPLOY, "deployment_status", workflows=("Deploy",)) is None


def test_naming_workflows_turns_their_runs_on_beside_the_events_that_are_named() -> None:
    assert reason(RUN, "workflow_run", workflows=("Dep*",), events=("release",)) is None
    assert isinstance(reason(DEPLOY, "deployment_status", workflows=("Dep*",), events=("release",)), Ignored)


def test_asking_for_the_event_takes_the_runs_of_all_workflows() -> None:
    assert reason(RUN, "workflow_run", events=("workflow_*",)) is None


@pytest.mark.parametrize("workflows", [("deploy*",), ("Release", "Publish*"), ("",)])
def test_other_workflows_are_ignored(workflows: tuple[str, ...]) -> None:
    why = reason(RUN, "workflow_run", workflows=workflows)
    assert isinstance(why, Ignored)
    assert "[github] workflows" in why.reason


def test_an_empty_list_of_workflows_leaves_runs_off() -> None:
    assert isinstance(reason(RUN, "workflow_run", workflows=()), Ignored)
    assert isinstance(reason(RUN, "workflow_run", workflows=(), events=("workflow_run",)), Ignored)


@pytest.mark.parametrize(
    "trigger", ["pull_request", "pull_request_target", "pull_request_review", "merge_group"]
)
def test_runs_of_what_is_not_merged_are_ignored_unless_asked_for(trigger: str) -> None:
    payload = json.loads(RUN)
    payload["workflow_run"]["event"] = trigger
    body = json.dumps(payload).encode()
    why = reason(body, "workflow_run", workflows=("*",))
    assert isinstance(why, Ignored)
    assert "[github] workflow_triggers" in why.reason
    assert reason(body, "workflow_run", workflows=("*",), workflow_triggers=(trigger,)) is None
    assert reason(body, "workflow_run", workflows=("*",), workflow_triggers=("*",)) is None


@pytest.mark.parametrize("trigger", ["push", "workflow_dispatch", "schedule", "release", "dynamic", None])
def test_runs_of_everything_else_are_deploys(trigger: str | None) -> None:
    payload = json.loads(RUN)
    payload["workflow_run"]["event"] = trigger
    assert reason(json.dumps(payload).encode(), "workflow_run", workflows=("*",)) is None


def test_a_forks_run_is_ignored_whatever_set_it_off() -> None:
    payload = json.loads(RUN)
    payload["workflow_run"] |= {
        "event": "workflow_run",
        "head_repository": {"id": 7, "full_name": "mallory/shop"},
    }
    why = reason(json.dumps(payload).encode(), "workflow_run", workflows=("*",))
    assert isinstance(why, Ignored)
    assert "the fork mallory/shop" in why.reason


def test_a_repository_that_was_renamed_is_no_fork_of_itself() -> None:
    payload = json.loads(RUN)
    repository = payload["repository"]
    payload["workflow_run"]["head_repository"] = {"id": repository["id"], "full_name": "acme/old-name"}
    assert reason(json.dumps(payload).encode(), "workflow_run", workflows=("*",)) is None


@pytest.mark.parametrize(
    ("branches", "is_drawn"),
    [(("main",), True), (("rel*", "ma?n"), True), (("Main",), False), (("release/*",), False), ((), False)],
)
def test_runs_of_other_branches_can_be_left_out(branches: tuple[str, ...], is_drawn: bool) -> None:
    why = reason(RUN, "workflow_run", workflows=("*",), workflow_branches=branches)
    assert (why is None) is is_drawn


def test_an_empty_list_of_incident_labels_leaves_the_type() -> None:
    by_label, by_type = (
        reason(body_of("github", f"issues__opened_with_{what}"), "issues", incident_labels=())
        for what in ("label", "type")
    )
    assert isinstance(by_label, Ignored)
    assert by_type is None


@pytest.mark.parametrize(
    ("severity", "floor", "is_drawn"),
    [
        ("low", "low", True),
        ("low", "medium", False),
        ("medium", "medium", True),
        ("moderate", "medium", True),
        ("moderate", "high", False),
        ("high", "critical", False),
        ("critical", "critical", True),
        (None, "critical", True),
        ("not yet invented", "critical", True),
    ],
)
def test_alerts_below_the_floor_are_ignored(severity: str | None, floor: str, is_drawn: bool) -> None:
    alert = {"severity": severity}
    payload = ALERT | {
        "alert": ALERT["alert"] | {"security_advisory": alert, "security_vulnerability": alert}
    }
    why = reason(json.dumps(payload).encode(), "dependabot_alert", events=("*",), alert_severity=floor)
    assert (why is None) is is_drawn
    assert why is None or "alert_severity" in why.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"alert_severity": "severe"},
        {"workflows": "Deploy"},
        {"incident_labels": None},
        {"incident_label": ["x"]},
        {"workflow_triggers": "push"},
        {"workflow_branches": None},
    ],
)
def test_what_is_no_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)


def test_each_workflow_is_known_by_its_own_name() -> None:
    (change,) = translate(
        GITHUB, received(RUN, "workflow_run"), Options(workflows=("Deploy",), deployments="span")
    ).changes
    assert change.event.metadata["workflow"] == "Deploy"
