"""Whatever an authentic Jenkins delivery holds, it becomes sound changes or a reason why not."""

import json
from copy import deepcopy
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Change, Delivery
from receiver.sources.jenkins import JENKINS
from receiver.sources.jenkins.options import Options
from receiver.sources.jenkins.phases import PHASES, RESULTS
from receiver.sources.not_translated import NotTranslated
from receiver.sources.request import PATH_TOKEN
from receiver.sources.source import translate
from tests.support.jenkins import RECEIVED_AT
from tests.support.mutations import mutate, paths
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.soundness import (
    Outcome,
    assert_sound,
    assert_sound_or_explained,
    assert_survives_the_queue,
    outcome_of,
)
from tests.support.source_fixtures import body_of

REAL: Final[list[dict[str, Any]]] = [
    json.loads(body_of("jenkins", case))
    for case in ("completed__tests_and_notes", "job.completed__success", "success__freestyle")
]
urls = st.builds(
    lambda parts: "".join(f"job/{part}/" for part in parts),
    st.lists(st.one_of(any_text, st.sampled_from(["deploy", "%252F", "job", "%", "%ff"])), max_size=4),
)
numbers = st.one_of(st.integers(-(10**16), 10**16), st.integers(), st.floats())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    payload = deepcopy(draw(st.sampled_from(REAL)))
    if "build" in payload:
        payload["build"]["phase"] = draw(st.sampled_from(["STARTED", "COMPLETED", "FINALIZED"]))
        payload["build"]["status"] = draw(st.sampled_from(sorted(RESULTS)))
    ways = st.sampled_from(sorted(paths(payload)))
    return json.dumps(mutate(draw, payload, ways, numbers, urls)).encode()


def received(body: bytes, kind: str) -> Delivery:
    headers = {"content-type": "application/json"} | ({"ce-type": kind} if kind else {})
    return JENKINS.receive(headers, body, RECEIVED_AT)


def outcome(body: bytes, mode: str, kind: str = "") -> Outcome:
    delivery = received(body, kind)
    assert delivery.id.isascii()
    assert delivery.id.isprintable()
    options = Options.model_validate({"deployments": mode, "jobs": ["*"]})
    return outcome_of(lambda: translate(JENKINS, delivery, options).changes)


def assert_sound_change(change: Change) -> None:
    assert_sound(change, change.delivery.id, "url", "run_url", "repository_url")
    assert change.event.metadata["job"]
    assert change.event.started_at is not None


kinds = st.one_of(
    st.just(""),
    st.sampled_from([f"org.jenkinsci.{event}" for event in PHASES]),
    st.text(st.characters(max_codepoint=255), max_size=300),
)


@thorough
@given(mutated(), st.sampled_from(["point", "span"]), kinds)
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, mode: str, kind: str) -> None:
    assert_sound_or_explained(outcome(body, mode, kind), assert_sound_change)


@reproducible
@given(mutated())
def test_the_same_delivery_always_becomes_the_same(body: bytes) -> None:
    assert repr(outcome(body, "span")) == repr(outcome(body, "span"))


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes) -> None:
    assert_survives_the_queue(outcome(body, "span"))


@thorough
@given(st.binary(max_size=400), kinds)
def test_arbitrary_bytes_become_a_reason(body: bytes, kind: str) -> None:
    found = outcome(body, "span", kind)
    assert isinstance(found, NotTranslated)
    assert_sound_or_explained(found, assert_sound_change)


@thorough
@given(json_values, kinds)
def test_arbitrary_json_becomes_a_reason(content: Any, kind: str) -> None:
    for body in (content, {"build": content}, {"build": {"phase": "COMPLETED", "status": content}}):
        assert_sound_or_explained(outcome(json.dumps(body).encode(), "span", kind), assert_sound_change)


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.sampled_from(["", "Basic ", "Bearer "]))
def test_no_header_makes_verification_raise(value: str, scheme: str) -> None:
    for headers in ({"authorization": scheme + value}, {PATH_TOKEN: value}):
        assert JENKINS.verify(headers, b"", {"JENKINS_WEBHOOK_TOKEN": (b"secret",)}, RECEIVED_AT) is False
