"""Every preset's deliveries as files, each with everything it must become written beside it."""

import json
import time
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.config.senders import preset_names
from receiver.events import Change
from receiver.sources.not_translated import Ignored
from receiver.sources.request import MIB
from receiver.sources.source import SourceOptions, translate
from tests.support.mutations import mutate, paths, times
from tests.support.presets import (
    EVENT_HEADERS,
    EVERYTHING,
    OPTIONAL,
    RECEIVED_AT,
    expected,
    outcome_of,
    source_named,
    sources,
)
from tests.support.soundness import assert_sound, assert_sound_or_explained, assert_survives_the_queue
from tests.support.soundness import outcome_of as changes_or_reason
from tests.support.source_fixtures import MODES, body_of, cases

CASES = [(name, case) for name in sources() for case in cases(name)]
BOUND = 2.0
"""Seconds that something hostile may take here, on a busy machine."""


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(name: str, case: str) -> None:
    for mode in MODES:
        assert outcome_of(name, case, mode) == expected(name, case, mode), mode


def test_the_empty_body_that_buildbot_sends_for_a_text_without_content_makes_no_marker() -> None:
    """Captured: a formatter that returns an empty text."""
    source = source_named("buildbot")
    with pytest.raises(Ignored):
        translate(source, source.receive({}, b"", RECEIVED_AT), SourceOptions())


@pytest.mark.parametrize("name", sources())
def test_every_preset_has_fixtures_that_make_markers_and_that_make_none(name: str) -> None:
    outcomes = [expected(name, case, "span") for case in cases(name)]
    assert any(isinstance(outcome, list) for outcome in outcomes)
    assert any(isinstance(outcome, dict) for outcome in outcomes) or name in {"argo-rollouts", "newrelic"}


@pytest.mark.parametrize(("name", "case"), sorted(OPTIONAL))
def test_optional_markers_are_off_until_their_event_is_named(name: str, case: str) -> None:
    assert "ignored" in outcome_of(name, case, "span", is_default=True)
    assert isinstance(outcome_of(name, case, "span"), list)


def test_start_and_end_of_the_same_are_one_marker() -> None:
    for name, first, last in (
        ("argocd", "Running__any", "Succeeded__healthy"),
        ("argo-rollouts", "Progressing__updated", "Degraded__aborted"),
        ("aws", "codedeploy__start", "codedeploy__failure"),
        ("aws", "ecs__in_progress", "ecs__completed"),
        ("aws", "cloudwatch__alarm", "cloudwatch__ok"),
        ("aws", "autoscaling__launched", "autoscaling__launched_the_second"),
        ("azure-devops", "deployment-started__with_an_id", "deployment-completed__rejected_with_an_id"),
        ("azure-devops", "stage-state-changed__running", "stage-state-changed__failed"),
        ("bitbucket", "repo-commit_status_created__in_progress", "repo-commit_status_updated__failed"),
        ("buildkite", "build.running__any", "build.finished__cancelled"),
        ("datadog", "Triggered__any", "Recovered__any"),
        ("heroku", "api-release__pending", "api-release__failed"),
        ("netlify", "building__production", "error__cancelled"),
        ("newrelic", "ACTIVATED__any", "CLOSED__any"),
        ("sentry", "metric_alert__critical", "metric_alert__resolved"),
        ("statuspage", "incident__investigating", "incident__resolved"),
        ("terraform", "run-applying__any", "run-errored__while_applying"),
        ("vercel", "deployment.created__production", "deployment.canceled__production"),
        ("betterstack", "incident__started", "incident__resolved"),
    ):
        one, other = expected(name, first, "span"), expected(name, last, "span")
        assert one[0]["key"] == other[0]["key"], name


def test_a_failed_deploy_is_called_failed_and_a_cancelled_one_cancelled() -> None:
    for name, case in CASES:
        for change in [] if isinstance(expected(name, case, "span"), dict) else expected(name, case, "span"):
            event = change["event"]
            status = str(event["metadata"].get("status"))
            called = event["name"].split()[0]
            if event["type"] != "deployment":
                continue
            assert (called == "Failed") is (status in {"failure", "failed", "expired"}), (name, case)
            assert (called == "Cancelled") is (status == "cancelled"), (name, case)


@pytest.mark.parametrize("name", sources())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_whatever_a_payload_is_the_change_is_sound_or_explained(name: str, data: st.DataObject) -> None:
    case, mutated = data.draw(mutations(name))
    outcome = translated(name, case, json.dumps(mutated).encode())
    assert_sound_or_explained(outcome, sound)
    assert_survives_the_queue(outcome)


@st.composite
def mutations(draw: st.DrawFn, name: str) -> tuple[str, Any]:
    case = draw(st.sampled_from(cases(name)))
    payload = json.loads(body_of(name, case))
    return case, mutate(draw, payload, st.sampled_from(list(paths(payload))), times)


def translated(name: str, case: str, body: bytes) -> Any:
    source = source_named(name)
    event = case.partition("__")[0].replace("-", ":", 1)
    headers = {EVENT_HEADERS[name]: event} if name in EVENT_HEADERS else {}
    delivery = source.receive(headers, body, RECEIVED_AT)
    options = SourceOptions(deployments="span", events=EVERYTHING)
    return changes_or_reason(lambda: translate(source, delivery, options).changes)


def sound(change: Change) -> None:
    delivery_id = str(change.event.metadata["delivery_id"])
    assert_sound(change, delivery_id, "url", "run_url", "repository_url")


LONG = "a" * 300_000
DEEP: Any = {}
for _ in range(150):
    DEEP = {"a": [DEEP]}


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize(
    "value",
    [LONG, LONG + "@[]:{}/", [LONG] * 3, [{"a": 1}] * 30_000, DEEP, 10**300, -1.5, True, "\x00\ud800"],
)
def test_a_hostile_value_everywhere_costs_little(name: str, value: Any) -> None:
    """In the place of each text of a payload in turn, and of as many as fit into a body."""
    case = next(case for case in cases(name) if isinstance(expected(name, case, "span"), list))
    payload = json.loads(body_of(name, case))
    began = time.process_time()
    assert_sound_or_explained(translated(name, case, json.dumps(replaced(payload, value)).encode()), sound)
    assert time.process_time() - began < BOUND


def replaced(payload: Any, value: Any) -> Any:
    """The payload with this value for its texts, up to the size that a body may have."""
    left = MIB - len(json.dumps(payload))
    size = len(json.dumps(value))
    content = deepcopy(payload)
    for path in paths(payload):
        *parents, last = path
        at = content
        for parent in parents:
            at = at[parent]
        if isinstance(at[last], str) and last not in {"type", "event", "kind", "action"} and left > size:
            at[last] = value
            left -= size
    return content


@pytest.mark.parametrize("name", preset_names())
def test_a_body_that_is_no_object_is_quarantined_and_never_an_error(name: str) -> None:
    for body in (b"", b"[]", b"null", b"{", b"\xff", b"[" * 50_000):
        assert not isinstance(translated(name, cases(name)[0], body), tuple)


@pytest.mark.parametrize("name", preset_names())
def test_no_address_of_a_person_gets_into_a_change(name: str) -> None:
    for case in cases(name):
        assert "@example.com" not in json.dumps(expected(name, case, "span")), case
