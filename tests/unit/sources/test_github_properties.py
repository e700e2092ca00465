"""Whatever a signed GitHub delivery holds, it becomes sound changes or a reason why not, and nothing else."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Change, Effect
from receiver.sources.github import GITHUB, TRANSLATORS
from receiver.sources.github.deployments import DEPLOYMENT_STATES
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import NotTranslated
from receiver.sources.source import translate
from tests.support.github import event_of
from tests.support.mutations import mutate, paths, times
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.soundness import (
    Outcome,
    assert_sound,
    assert_sound_or_explained,
    assert_survives_the_queue,
    outcome_of,
)
from tests.support.source_fixtures import body_of, cases, expected

RECEIVED_AT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
READ: Final = {
    *("id", "number", "name", "full_name", "login", "title", "state", "ref", "sha", "task", "severity"),
    *("created_at", "updated_at", "closed_at", "published_at", "fixed_at", "dismissed_at", "resolved_at"),
    *("run_started_at", "environment", "log_url", "html_url", "description", "conclusion", "labels"),
    *("message", "tag_name", "body", "version", "package_version", "head_commit", "changes", "from"),
    *("run_attempt", "run_number", "state_reason", "type", "label", "resolution", "prerelease"),
}
REAL: Final[dict[str, dict[str, Any]]] = {
    case: json.loads(body_of("github", case))
    for case in cases("github")
    if "ignored" not in expected("github", case, "span")
}
"""One of each thing that becomes a marker."""
PATHS: Final = {case: sorted(paths(payload)) for case, payload in REAL.items()}
TELLING: Final = {
    case: [way for way in ways if way[-1] in READ or way[0] in {"action", "client_payload"}]
    for case, ways in PATHS.items()
}
"""What is read: half of all mutations are made there."""
EVERYTHING: Final = {"events": ("*",), "workflows": ("*",), "alert_severity": "low"}


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A real delivery with a few of its values exchanged or gone: its event and its body."""
    case = draw(st.sampled_from(sorted(REAL)))
    payload = deepcopy(REAL[case])
    if "deployment_status" in payload:
        payload["deployment_status"]["state"] = draw(st.sampled_from(sorted(DEPLOYMENT_STATES)))
    ways = st.one_of(st.sampled_from(PATHS[case]), st.sampled_from(TELLING[case]))
    return event_of(case), json.dumps(mutate(draw, payload, ways, times)).encode()


def outcome(
    body: bytes, mode: str, event: str = "deployment_status", content_type: str = JSON_TYPE
) -> Outcome:
    headers = {"x-github-event": event, "x-github-delivery": "guid", "content-type": content_type}
    delivery = GITHUB.receive(headers, body, RECEIVED_AT)
    options = Options.model_validate({"deployments": mode} | EVERYTHING)
    return outcome_of(lambda: translate(GITHUB, delivery, options).changes)


def assert_sound_change(change: Change) -> None:
    assert_sound(change, "guid", "url", "run_url", "repository_url", "environment_url")
    assert change.event.started_at is not None or change.effect is Effect.UPDATE


@thorough
@given(mutated(), st.sampled_from(["point", "span"]))
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(sent: tuple[str, bytes], mode: str) -> None:
    event, body = sent
    assert_sound_or_explained(outcome(body, mode, event), assert_sound_change)


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(sent: tuple[str, bytes]) -> None:
    event, body = sent
    assert_survives_the_queue(outcome(body, "span", event))


@reproducible
@given(mutated())
def test_the_same_delivery_always_becomes_the_same(sent: tuple[str, bytes]) -> None:
    event, body = sent
    first, again = outcome(body, "span", event), outcome(body, "span", event)
    assert repr(first) == repr(again)


events = st.one_of(st.sampled_from([*TRANSLATORS, ""]), any_text.filter(str.isprintable))


@thorough
@given(st.binary(max_size=400), events, st.sampled_from([JSON_TYPE, FORM_TYPE, "", "text/plain"]))
def test_arbitrary_bytes_become_a_reason(body: bytes, event: str, content_type: str) -> None:
    found = outcome(body, "point", event, content_type)
    assert isinstance(found, NotTranslated)
    assert_sound_or_explained(found, assert_sound_change)


@thorough
@given(json_values)
def test_arbitrary_json_becomes_a_reason(content: Any) -> None:
    for event in TRANSLATORS:
        assert_sound_or_explained(outcome(json.dumps(content).encode(), "point", event), assert_sound_change)


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, body: bytes) -> None:
    headers = {"x-hub-signature-256": value}
    assert GITHUB.verify(headers, body, {"GITHUB_WEBHOOK_SECRET": (b"secret",)}, RECEIVED_AT) is False
