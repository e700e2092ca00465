"""Whatever a signed GitHub delivery holds, it becomes sound changes or a reason why not, and nothing else."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import METADATA_SIZE
from receiver.events import Change, Effect
from receiver.sources.base import Ignored, NotTranslated, Untranslatable, translate
from receiver.sources.github import GITHUB, TRANSLATORS
from receiver.sources.github.deployments import DEPLOYMENT_STATES
from receiver.sources.github.payload import Options
from tests.support.github import event_of
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.source_fixtures import body_of, cases, expected

RECEIVED_AT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
ABSENT: Final = object()

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
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes(timezones=st.timezones()).map(str),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A real delivery with a few of its values exchanged or gone: its event and its body."""
    case = draw(st.sampled_from(sorted(REAL)))
    payload = deepcopy(REAL[case])
    if "deployment_status" in payload:
        payload["deployment_status"]["state"] = draw(st.sampled_from(sorted(DEPLOYMENT_STATES)))
    for _ in range(draw(st.integers(1, 5))):
        *parents, last = draw(st.one_of(st.sampled_from(PATHS[case]), st.sampled_from(TELLING[case])))
        place: Any = payload
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            value = draw(st.one_of(st.just(ABSENT), json_values, any_text, times))
            if value is ABSENT:
                place.pop(last, None)
            else:
                place[last] = value
    return event_of(case), json.dumps(payload).encode()


def outcome(body: bytes, mode: str, event: str = "deployment_status", content_type: str = JSON_TYPE) -> Any:
    headers = {"x-github-event": event, "x-github-delivery": "guid", "content-type": content_type}
    delivery = GITHUB.receive(headers, body, RECEIVED_AT)
    options = Options.model_validate({"deployments": mode} | EVERYTHING)
    try:
        return translate(GITHUB, delivery, options).changes
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
    assert event.metadata["delivery_id"] == "guid"
    assert None not in event.metadata.values()
    assert "" not in event.metadata.values()
    one_liners = [change.key, event.name, *texts(event.metadata), *(event.description or "").split("\n")]
    for text in one_liners:
        assert not any(character in text for character in FORBIDDEN), text
    for name in ("url", "run_url", "repository_url", "environment_url"):
        assert str(event.metadata.get(name, "https://")).startswith(("https://", "http://"))
    assert change.occurred_at.utcoffset() is not None
    if change.effect is not Effect.UPDATE:
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


@thorough
@given(mutated(), st.sampled_from(["point", "span"]))
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(sent: tuple[str, bytes], mode: str) -> None:
    event, body = sent
    assert_sound_or_explained(outcome(body, mode, event))


@reproducible
@given(mutated())
def test_a_change_comes_out_of_the_queue_as_it_went_in(sent: tuple[str, bytes]) -> None:
    event, body = sent
    found = outcome(body, "span", event)
    for change in () if isinstance(found, NotTranslated) else found:
        queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
        taken_out = Change.model_validate(queued)
        assert taken_out.event.to_api() == change.event.to_api()
        assert taken_out.model_dump(mode="json", by_alias=True) == queued


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
    assert_sound_or_explained(found)


@thorough
@given(json_values)
def test_arbitrary_json_becomes_a_reason(content: Any) -> None:
    for event in TRANSLATORS:
        assert_sound_or_explained(outcome(json.dumps(content).encode(), "point", event))


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, body: bytes) -> None:
    headers = {"x-hub-signature-256": value}
    assert GITHUB.verify(headers, body, {"GITHUB_WEBHOOK_SECRET": (b"secret",)}, RECEIVED_AT) is False
