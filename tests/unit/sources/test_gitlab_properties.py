"""Whatever an authentic GitLab delivery holds, it becomes sound changes or a reason why not, nothing else."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import METADATA_SIZE
from receiver.events import Change
from receiver.sources.base import Ignored, NotTranslated, Untranslatable, translate
from receiver.sources.gitlab import GITLAB, TRANSLATORS
from receiver.sources.gitlab.deployments import DEPLOYMENT_STATES
from receiver.sources.gitlab.hook import Options
from receiver.sources.gitlab.incidents import ACTIONS, VULNERABILITY_STATES
from receiver.sources.gitlab.pipelines import RUN_STATES
from tests.support.gitlab import DELIVERY_ID, RECEIVED_AT, delivery_of
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.source_fixtures import body_of

ABSENT: Final = object()
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

FORBIDDEN: Final = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    *map(chr, range(0xD800, 0xE000)),
)
"""Written out here, not taken from the code under test."""


def paths(content: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in content.items():
        yield (*way, name)
        if isinstance(value, dict):
            yield from paths(value, (*way, name))


PATHS: Final = {case: sorted(paths(payload)) for case, payload in REAL.items()}
times = st.one_of(
    st.datetimes().map(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC"),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes(timezones=st.timezones()).map(str),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01 00:00:00 +1400"]),
)


def put(payload: Any, path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for parent in parents:
        payload = payload.get(parent) if isinstance(payload, dict) else None
    if isinstance(payload, dict):
        if value is ABSENT:
            payload.pop(last, None)
        else:
            payload[last] = value


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    case = draw(st.sampled_from(sorted(REAL)))
    payload = deepcopy(REAL[case])
    if found := STATES.get(case.partition("__")[0]):
        put(payload, tuple(found[0].split(".")), draw(st.sampled_from(found[1])))
    for _ in range(draw(st.integers(1, 5))):
        path = draw(st.sampled_from([way for way in PATHS[case] if way != ("object_kind",)]))
        put(payload, path, draw(st.one_of(st.just(ABSENT), json_values, any_text, times)))
    return json.dumps(payload).encode()


def outcome(body: bytes, mode: str, hook: str = "Custom Hook", instance: str = "") -> Any:
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
    try:
        return translate(GITLAB, delivery, options).changes
    except (Ignored, Untranslatable) as reason:
        return reason


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def assert_sound(change: Change) -> None:
    event = change.event
    sent = event.to_api()
    written = json.dumps(sent, allow_nan=False, ensure_ascii=False)
    assert json.loads(written.encode("utf-8")) == sent
    assert 1 <= len(event.name) <= 200
    assert 1 <= len(change.key) <= 300
    assert len(event.description or "") <= 2_000
    assert len(json.dumps(event.metadata, ensure_ascii=False)) <= METADATA_SIZE
    assert event.metadata["marker_key"] == change.key
    assert event.metadata["delivery_id"] == DELIVERY_ID
    assert None not in event.metadata.values()
    assert "" not in event.metadata.values()
    one_liners = [change.key, event.name, change.remark or "", *texts(event.metadata)]
    for text in [*one_liners, *(event.description or "").split("\n")]:
        assert not any(character in text for character in FORBIDDEN), text
    for name in ("url", "run_url", "repository_url", "environment_url"):
        assert str(event.metadata.get(name, "https://")).startswith(("https://", "http://"))
    assert change.occurred_at.utcoffset() is not None
    assert event.started_at is not None
    assert event.ended_at is None or event.ended_at >= event.started_at


def assert_sound_or_explained(found: Any) -> None:
    if isinstance(found, NotTranslated):
        assert 1 <= len(found.reason) <= 300
        assert found.reason.isprintable()
        found.reason.encode("utf-8")
        return
    assert found
    for change in found:
        assert_sound(change)


modes = st.sampled_from(["point", "span"])


@thorough
@given(mutated(), modes)
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, mode: str) -> None:
    assert_sound_or_explained(outcome(body, mode))


@pytest.mark.parametrize("case", sorted(REAL))
def test_without_any_one_field_it_becomes_sound_changes_or_a_reason(case: str) -> None:
    for path in PATHS[case]:
        for value in (ABSENT, None, "", 7, True, [], {}, [None], "\ud800", "x" * 5_000, 1e308):
            payload = deepcopy(REAL[case])
            put(payload, path, value)
            assert_sound_or_explained(outcome(json.dumps(payload).encode(), "span"))


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes) -> None:
    found = outcome(body, "span")
    for change in () if isinstance(found, NotTranslated) else found:
        queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
        taken_out = Change.model_validate(queued)
        assert taken_out.event.to_api() == change.event.to_api()
        assert taken_out.model_dump(mode="json", by_alias=True) == queued


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
    assert_sound_or_explained(found)


@thorough
@given(json_values, st.sampled_from(sorted(TRANSLATORS)), modes)
def test_arbitrary_json_becomes_sound_changes_or_a_reason(content: Any, kind: str, mode: str) -> None:
    assert_sound_or_explained(outcome(json.dumps(content).encode(), mode))
    if isinstance(content, dict):
        assert_sound_or_explained(outcome(json.dumps(content | {"object_kind": kind}).encode(), mode))
        nested = {"object_kind": kind, "object_attributes": content, "project": content}
        assert_sound_or_explained(outcome(json.dumps(nested).encode(), mode))


@reproducible
@given(header_text)
def test_whatever_a_server_says_its_address_is_the_key_is_sound(instance: str) -> None:
    body = body_of("gitlab", "deployment__production_success")
    assert_sound_or_explained(outcome(body, "point", instance=instance))


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
