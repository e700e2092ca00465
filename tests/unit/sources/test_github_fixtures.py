"""GitHub's deliveries as files, each with everything it must become written beside it."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from receiver.events import Change
from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.source import Feature, translate
from tests.support.github import DELIVERY_ID, event_of, outcome, received, source_of
from tests.support.source_fixtures import MODES, body_of, cases, expected

CASES = cases("github")
MARKERS = [case for case in CASES if "ignored" not in expected("github", case, "span")]
SUCCEEDED = ["octokit_01", "octokit_03", "octokit_04"]


def becomes(case: str, mode: str) -> Change:
    source = source_of(case)
    delivery = received(body_of("github", case), event_of(case))
    (change,) = translate(source, delivery, source.options.model_validate({"deployments": mode})).changes
    return change


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(case: str, mode: str) -> None:
    assert outcome(case, mode) == expected("github", case, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_form_encoded_delivery_becomes_the_same(case: str, mode: str) -> None:
    assert outcome(case, mode, as_form=True) == expected("github", case, mode)


@pytest.mark.parametrize("case", MARKERS)
def test_a_change_says_where_it_came_from(case: str) -> None:
    assert becomes(case, "span").delivery.model_dump() == {
        "source": "github",
        "id": DELIVERY_ID,
        "event": event_of(case),
    }


def test_no_fixture_becomes_anything_with_an_address_or_a_secret_in_it() -> None:
    for case in CASES:
        shown = str([outcome(case, mode) for mode in MODES])
        for private in ("@example", "THE_SECRET_ITSELF", "-SECRET", "deployment_callback_url"):
            assert private not in shown, case


def test_every_state_of_a_deployment_has_a_fixture() -> None:
    states = {
        json.loads(body_of("github", case))["deployment_status"]["state"]
        for case in CASES
        if case.startswith("deployment_status__production_")
    }
    assert states == {
        "queued",
        "pending",
        "waiting",
        "in_progress",
        "success",
        "failure",
        "error",
        "inactive",
    }


@pytest.mark.parametrize("case", SUCCEEDED)
def test_a_real_success_is_a_point_with_all_that_leads_back_to_it(case: str) -> None:
    change = becomes(f"deployment_status__{case}", "point")
    event = change.event
    assert change.key == "github:deployment:145988746"
    assert event.name == "Deploy Codertocat/Hello-World master@f95f852 to production"
    assert event.started_at == datetime(2019, 5, 15, 15, 20, 55, tzinfo=UTC)
    assert event.ended_at is None
    assert event.metadata["commit"] == "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
    assert event.metadata["environment"] == "production"
    assert event.metadata["actor"] == "Codertocat"
    assert event.metadata["url"] == "https://github.com/Codertocat/Hello-World"


def test_a_real_success_from_an_enterprise_server_leads_back_to_that_server() -> None:
    change = becomes("deployment_status__octokit_ghes_35_01", "point")
    event = change.event
    assert change.key == "github:octocoders.github.io:deployment:2"
    assert event.name == "Deploy Codertocat/Hello-World master@78a9609 to production"
    assert event.started_at == datetime(2019, 5, 15, 19, 38, 21, tzinfo=UTC)
    assert event.metadata["commit"] == "78a96099c3f442d7f6e8d1a7d07090091993e65a"
    assert event.metadata["environment"] == "production"
    assert event.metadata["actor"] == "Codertocat"
    assert event.metadata["url"] == "https://octocoders.github.io/Codertocat/Hello-World"


def test_a_real_start_from_a_workflow_opens_a_span_with_all_that_leads_back_to_it() -> None:
    change = becomes("deployment_status__octokit_02", "span")
    event = change.event
    assert change.key == "github:deployment:145988746"
    assert event.name == "Deploy Codertocat/Hello-World master@f95f852 to github-pages"
    assert event.started_at == datetime(2022, 1, 3, 1, 28, 39, tzinfo=UTC)
    assert event.metadata["commit"] == "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
    assert event.metadata["environment"] == "github-pages"
    assert event.metadata["actor"] == "Codertocat"
    assert (
        event.metadata["url"] == "https://github.com/CorsixTH/CorsixTH/runs/4687056418?check_suite_focus=true"
    )
    assert event.metadata["run_url"] == "https://github.com/Codertocat/Hello-World/actions/runs/289782451"


# The table of features against the fixtures: which row a payload belongs to is said here a second time.


def row_of_status(payload: dict[str, Any]) -> str:
    state, job = payload["deployment_status"]["state"], payload.get("check_run") or {}
    task = payload.get("deployment", {}).get("task") or ""
    if state == "failure" and job.get("started_at", "") is None:
        return "failure of a job that never began"
    if state == "failure" and job.get("conclusion") == "cancelled":
        return "failure, cancelled"
    return f"{state} of a task scale…" if task.lower().startswith("scale") else str(state)


@cache
def row_of(case: str) -> str:
    """The `when` of the row that a fixture's payload belongs to."""
    event, payload = event_of(case), json.loads(body_of("github", case))
    action = payload.get("action")
    match event:
        case "deployment_status":
            return row_of_status(payload)
        case "workflow_run":
            conclusion = payload["workflow_run"]["conclusion"]
            return f"completed: {conclusion}" if conclusion else action
        case "push":
            is_new = payload["ref"].startswith("refs/tags/") and payload["created"]
            return "new tag" if is_new else "branch; tag moved or deleted"
        case "issues" if action in {"labeled", "typed"} and payload["issue"]["state"] == "closed":
            return f"{action} when closed"
        case "custom_property_values" | "repository_ruleset":
            return str(action)
    rows = {feature.when for feature in GITHUB.features if feature.event == event}
    return action if action in rows else next(iter(rows & {"any", "any other"}), "")


def drawn(case: str) -> tuple[tuple[str | None, str | None], ...]:
    """(type, effect) as a point and as a span."""
    found = [expected("github", case, mode) for mode in MODES]
    return tuple(
        (None, None) if "ignored" in changes else (changes[0]["event"]["type"], changes[0]["effect"])
        for changes in found
    )


def promised(feature: Feature) -> tuple[tuple[str | None, str | None], ...]:
    effects = (feature.effect, feature.span_effect or feature.effect)
    return tuple(
        (feature.type.value, effect.value) if feature.type and effect else (None, None) for effect in effects
    )


NOTHING = ((None, None), (None, None))
OWN_WORDS = [case for case in CASES if case.startswith("repository_dispatch__") and "payload" not in case]
"""What these say of type and effect goes over what the table says."""


@pytest.mark.parametrize("feature", GITHUB.features, ids=lambda feature: f"{feature.event} {feature.when}")
def test_every_row_of_the_table_is_what_a_fixture_becomes(feature: Feature) -> None:
    found = {drawn(case) for case in CASES if (event_of(case), row_of(case)) == (feature.event, feature.when)}
    assert promised(feature) in found


@pytest.mark.parametrize("case", [case for case in CASES if case not in OWN_WORDS])
def test_no_fixture_contradicts_the_table(case: str) -> None:
    rows = [
        feature
        for feature in GITHUB.features
        if (feature.event, feature.when) == (event_of(case), row_of(case))
    ]
    assert len(rows) <= 1
    assert drawn(case) in {NOTHING, *map(promised, rows)}
    if not rows:
        assert drawn(case) == NOTHING


def test_what_is_optional_is_off_until_it_is_asked_for() -> None:
    events = {feature.event for feature in GITHUB.features if feature.is_optional}
    assert not events & set(GITHUB.default_events)
    assert {feature.event for feature in GITHUB.features if feature.type} == events | (
        set(GITHUB.default_events) - {"ping"}
    )
    assert Options().events is None
