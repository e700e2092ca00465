"""Whatever an authentic Jenkins delivery holds, it becomes sound changes or a reason why not."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import METADATA_SIZE
from receiver.events import Change
from receiver.sources.base import PATH_TOKEN, Ignored, NotTranslated, Untranslatable, translate
from receiver.sources.jenkins import JENKINS, PHASES, RESULTS, Options
from tests.support.jenkins import RECEIVED_AT
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.source_fixtures import body_of

REAL: Final[list[dict[str, Any]]] = [
    json.loads(body_of("jenkins", case))
    for case in ("completed__tests_and_notes", "job.completed__success", "success__freestyle")
]
ABSENT: Final = object()


def paths(content: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in content.items():
        yield (*way, name)
        if isinstance(value, dict):
            yield from paths(value, (*way, name))


urls = st.builds(
    lambda parts: "".join(f"job/{part}/" for part in parts),
    st.lists(st.one_of(any_text, st.sampled_from(["deploy", "%252F", "job", "%", "%ff"])), max_size=4),
)
times = st.one_of(st.integers(-(10**16), 10**16), st.integers(), st.floats())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    payload = deepcopy(draw(st.sampled_from(REAL)))
    if "build" in payload:
        payload["build"]["phase"] = draw(st.sampled_from(["STARTED", "COMPLETED", "FINALIZED"]))
        payload["build"]["status"] = draw(st.sampled_from(sorted(RESULTS)))
    for _ in range(draw(st.integers(1, 5))):
        *parents, last = draw(st.sampled_from(sorted(paths(payload))))
        place: Any = payload
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            value = draw(st.one_of(st.just(ABSENT), json_values, any_text, times, urls))
            if value is ABSENT:
                place.pop(last, None)
            else:
                place[last] = value
    return json.dumps(payload).encode()


def outcome(body: bytes, mode: str, kind: str = "") -> Any:
    headers = {"content-type": "application/json"} | ({"ce-type": kind} if kind else {})
    delivery = JENKINS.receive(headers, body, RECEIVED_AT)
    assert delivery.id.isascii()
    assert delivery.id.isprintable()
    try:
        return translate(
            JENKINS, delivery, Options.model_validate({"deployments": mode, "jobs": ["*"]})
        ).changes
    except (Ignored, Untranslatable) as reason:
        return reason


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
    assert event.metadata["job"]
    assert None not in event.metadata.values()
    assert "" not in event.metadata.values()
    one_liners = [change.key, event.name, *map(str, event.metadata.values())]
    assert all(ord(character) >= 0x20 for text in one_liners for character in text)
    for name in ("url", "run_url", "repository_url"):
        assert str(event.metadata.get(name, "https://")).startswith(("https://", "http://"))
    assert event.started_at is not None
    assert event.ended_at is None or event.ended_at >= event.started_at


def assert_sound_or_explained(found: Any) -> None:
    if isinstance(found, NotTranslated):
        assert 1 <= len(found.reason) <= 300
        found.reason.encode("utf-8")
        return
    assert found
    for change in found:
        assert_sound(change)


kinds = st.one_of(
    st.just(""),
    st.sampled_from([f"org.jenkinsci.{event}" for event in PHASES]),
    st.text(st.characters(max_codepoint=255), max_size=300),
)


@thorough
@given(mutated(), st.sampled_from(["point", "span"]), kinds)
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, mode: str, kind: str) -> None:
    assert_sound_or_explained(outcome(body, mode, kind))


@reproducible
@given(mutated())
def test_the_same_delivery_always_becomes_the_same(body: bytes) -> None:
    assert repr(outcome(body, "span")) == repr(outcome(body, "span"))


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes) -> None:
    found = outcome(body, "span")
    for change in () if isinstance(found, NotTranslated) else found:
        queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
        assert Change.model_validate(queued).model_dump(mode="json", by_alias=True) == queued


@thorough
@given(st.binary(max_size=400), kinds)
def test_arbitrary_bytes_become_a_reason(body: bytes, kind: str) -> None:
    found = outcome(body, "span", kind)
    assert isinstance(found, NotTranslated)
    assert_sound_or_explained(found)


@thorough
@given(json_values, kinds)
def test_arbitrary_json_becomes_a_reason(content: Any, kind: str) -> None:
    for body in (content, {"build": content}, {"build": {"phase": "COMPLETED", "status": content}}):
        assert_sound_or_explained(outcome(json.dumps(body).encode(), "span", kind))


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.sampled_from(["", "Basic ", "Bearer "]))
def test_no_header_makes_verification_raise(value: str, scheme: str) -> None:
    for headers in ({"authorization": scheme + value}, {PATH_TOKEN: value}):
        assert JENKINS.verify(headers, b"", {"JENKINS_WEBHOOK_TOKEN": (b"secret",)}, RECEIVED_AT) is False
