"""Whatever an authentic GitLab delivery holds, it becomes sound changes or a reason why not, nothing else."""

import json
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.folding import fold
from receiver.events import Change, Effect
from receiver.sources.gitlab import GITLAB, TRANSLATORS
from receiver.sources.gitlab.deployments import DEPLOYMENT_STATES
from receiver.sources.gitlab.hook import Options
from receiver.sources.gitlab.incidents import ACTIONS, VULNERABILITY_STATES
from receiver.sources.gitlab.pipelines import RUN_STATES
from receiver.sources.not_translated import NotTranslated
from receiver.sources.source import translate
from tests.support.gitlab import DELIVERY_ID, RECEIVED_AT, delivery_of
from tests.support.mutations import ABSENT, mutate, paths, put, times
from tests.support.properties import json_values, reproducible, thorough
from tests.support.soundness import (
    Outcome,
    assert_sound,
    assert_sound_or_explained,
    assert_survives_the_queue,
    outcome_of,
)
from tests.support.source_fixtures import body_of

REAL: Final[dict[str, Any]] = {
    case: json.loads(body_of("gitlab", case))
    for case in (
        "deployment__production_success",
        "deployment__production_rejected",
        "pipeline__success",
        "build__success",
        "release__create",
        "tag_push__created",
        "feature_flag__on",
        "issue__incident_severity_changed",
        "issue__label_removed",
        "vulnerability__detected",
        "access_token__of_a_group",
        "deploy_token__of_a_project",
    )
}
STATES: Final[dict[str, tuple[str, list[Any]]]] = {
    "deployment": ("status", sorted(DEPLOYMENT_STATES)),
    "pipeline": ("object_attributes.status", sorted(RUN_STATES)),
    "build": ("build_status", sorted(RUN_STATES)),
    "issue": ("object_attributes.action", [*sorted(ACTIONS), None]),
    "vulnerability": ("object_attributes.state", sorted(VULNERABILITY_STATES)),
}

PATHS: Final = {case: sorted(paths(payload)) for case, payload in REAL.items()}
ruby_times = st.one_of(
    st.datetimes().map(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC"), st.just("0001-01-01 00:00:00 +1400")
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    case = draw(st.sampled_from(sorted(REAL)))
    payload = deepcopy(REAL[case])
    if found := STATES.get(case.partition("__")[0]):
        put(payload, tuple(found[0].split(".")), draw(st.sampled_from(found[1])))
    ways = st.sampled_from([way for way in PATHS[case] if way != ("object_kind",)])
    return json.dumps(mutate(draw, payload, ways, times, ruby_times)).encode()


def outcome(body: bytes, mode: str, hook: str = "Custom Hook", instance: str = "") -> Outcome:
    delivery = delivery_of("", body, x_gitlab_event=hook, x_gitlab_instance=instance)
    options = Options.model_validate(
        {
            "deployments": mode,
            "events": ["*"],
            "pipeline_refs": ["*"],
            "incident_labels": ["*"],
            "vulnerability_severity": "info",
        }
    )
    return outcome_of(lambda: translate(GITLAB, delivery, options).changes)


def assert_sound_change(change: Change) -> None:
    assert_sound(change, DELIVERY_ID, "url", "run_url", "repository_url", "environment_url")
    if change.effect in {Effect.POINT, Effect.OPEN}:
        assert change.event.started_at is not None
    folded = fold([change])
    assert folded is None or folded.started_at is not None


modes = st.sampled_from(["point", "span"])


@thorough
@given(mutated(), modes)
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, mode: str) -> None:
    assert_sound_or_explained(outcome(body, mode), assert_sound_change)


@pytest.mark.parametrize("case", sorted(REAL))
def test_without_any_one_field_it_becomes_sound_changes_or_a_reason(case: str) -> None:
    for path in PATHS[case]:
        for value in (ABSENT, None, "", 7, True, [], {}, [None], "\ud800", "x" * 5_000, 1e308):
            payload = deepcopy(REAL[case])
            put(payload, path, value)
            assert_sound_or_explained(outcome(json.dumps(payload).encode(), "span"), assert_sound_change)


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes) -> None:
    assert_survives_the_queue(outcome(body, "span"))


@reproducible
@given(mutated())
def test_the_same_delivery_always_becomes_the_same(body: bytes) -> None:
    first, again = outcome(body, "span"), outcome(body, "span")
    assert repr(first) == repr(again)


header_text: Final = st.text(st.characters(max_codepoint=255), max_size=200)
hooks = st.one_of(
    st.sampled_from(["Deployment Hook", "Job Hook", "Work Item Hook", "System Hook", ""]), header_text
)


@thorough
@given(st.binary(max_size=400), hooks, header_text)
def test_arbitrary_bytes_become_a_reason(body: bytes, hook: str, instance: str) -> None:
    found = outcome(body, "point", hook, instance)
    assert isinstance(found, NotTranslated)
    assert_sound_or_explained(found, assert_sound_change)


@thorough
@given(json_values, st.sampled_from(sorted(TRANSLATORS)), modes)
def test_arbitrary_json_becomes_sound_changes_or_a_reason(content: Any, kind: str, mode: str) -> None:
    assert_sound_or_explained(outcome(json.dumps(content).encode(), mode), assert_sound_change)
    if isinstance(content, dict):
        assert_sound_or_explained(
            outcome(json.dumps(content | {"object_kind": kind}).encode(), mode), assert_sound_change
        )
        nested = {"object_kind": kind, "object_attributes": content, "project": content}
        assert_sound_or_explained(outcome(json.dumps(nested).encode(), mode), assert_sound_change)


@reproducible
@given(header_text)
def test_whatever_a_server_says_its_address_is_the_key_is_sound(instance: str) -> None:
    body = body_of("gitlab", "deployment__production_success")
    assert_sound_or_explained(outcome(body, "point", instance=instance), assert_sound_change)


@reproducible
@given(header_text, header_text, st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, timestamp: str, body: bytes) -> None:
    headers = {
        "webhook-signature": value,
        "webhook-timestamp": timestamp,
        "webhook-id": value,
        "x-gitlab-token": value,
    }
    both = {"GITLAB_SIGNING_TOKEN": (b"secret",), "GITLAB_WEBHOOK_TOKEN": (b"another secret",)}
    assert GITLAB.verify(headers, body, both, RECEIVED_AT) is False
    assert GITLAB.verify({"x-gitlab-token": value}, body, both, RECEIVED_AT) is False
