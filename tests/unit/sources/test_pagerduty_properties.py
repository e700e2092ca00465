"""Whatever a signed PagerDuty delivery holds, it becomes sound changes or a reason, and nothing else."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import METADATA_SIZE
from receiver.delivery.folding import fold
from receiver.events import Change
from receiver.sources.base import Ignored, NotTranslated, Untranslatable, translate
from receiver.sources.pagerduty import INCIDENT_EFFECTS, PAGERDUTY, Options
from receiver.sources.pagerduty.wording import REMARKS
from tests.support.pagerduty import DELIVERY_ID, RECEIVED_AT, received
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.source_fixtures import body_of, cases

ABSENT: Final = object()
REAL: Final[dict[str, dict[str, Any]]] = {
    shape: json.loads(body_of("pagerduty", case))
    for shape, case in {
        "incident": "incident.triggered__by_hand",
        "merge": "incident.resolved__merged_with_a_number",
        "reopened": "incident.resolved__after_reopening",
        "note": "incident.annotated__resolution",
        "update": "incident.status_update_published__by_ada",
    }.items()
}
SHAPES_OF: Final = {
    **dict.fromkeys(INCIDENT_EFFECTS, ("incident", "merge", "reopened")),
    **dict.fromkeys(REMARKS, ("note", "update")),
}
FORBIDDEN: Final = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    *map(chr, range(0xD800, 0xE000)),
)
"""Written out here, not taken from the code under test."""

OPTIONS: Final = (
    Options(deployments="point"),
    Options(deployments="span", urgencies=("high",)),
    Options(deployments="point", urgencies=("low",), services=("check*",)),
)


def paths(content: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in content.items():
        yield (*way, name)
        if isinstance(value, dict):
            yield from paths(value, (*way, name))


PATHS: Final = {shape: sorted(paths(payload)) for shape, payload in REAL.items()}
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes(timezones=st.timezones()).map(str),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"]),
)
references = st.lists(st.fixed_dictionaries({"summary": st.one_of(any_text, json_values)}), max_size=20)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    event = draw(st.sampled_from(sorted(SHAPES_OF)))
    shape = draw(st.sampled_from(SHAPES_OF[event]))
    payload = deepcopy(REAL[shape])
    payload["event"]["event_type"] = event
    for _ in range(draw(st.integers(1, 5))):
        *parents, last = draw(st.sampled_from(PATHS[shape]))
        place: Any = payload
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            value = draw(st.one_of(st.just(ABSENT), json_values, any_text, times, references))
            if value is ABSENT:
                place.pop(last, None)
            else:
                place[last] = value
    return json.dumps(payload).encode()


def outcome(body: bytes, options: Options) -> Any:
    try:
        return translate(PAGERDUTY, received(body), options).changes
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
    assert change.key.startswith("pagerduty:")
    assert 1 <= len(event.name) <= 200
    assert len(change.key) <= 300
    assert len(change.remark or "") <= 300
    assert len(event.description or "") <= 2_000
    assert len(json.dumps(event.metadata, ensure_ascii=False)) <= METADATA_SIZE
    assert event.metadata["marker_key"] == change.key
    assert event.metadata["delivery_id"] == DELIVERY_ID
    assert all(isinstance(value, str) and value for value in event.metadata.values())
    one_liners = [change.key, event.name, change.remark or "", *texts(event.metadata)]
    for text in [*one_liners, *(event.description or "").split("\n")]:
        assert not any(character in text for character in FORBIDDEN), text
    for name in ("url", "service_url", "merged_into_url"):
        assert str(event.metadata.get(name, "https://")).startswith(("https://", "http://"))
    assert change.occurred_at.utcoffset() is not None
    if event.ended_at is not None:
        assert event.started_at is not None
        assert event.ended_at >= event.started_at
    if change.sets is None:
        assert event.started_at is not None
        assert event.description


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
@given(mutated(), st.sampled_from(OPTIONS))
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, options: Options) -> None:
    assert_sound_or_explained(outcome(body, options))


@reproducible
@given(mutated(), st.sampled_from(OPTIONS))
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes, options: Options) -> None:
    found = outcome(body, options)
    for change in () if isinstance(found, NotTranslated) else found:
        queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
        taken_out = Change.model_validate(queued)
        assert taken_out.event.to_api() == change.event.to_api()
        assert taken_out.model_dump(mode="json", by_alias=True) == queued


@reproducible
@given(mutated(), st.sampled_from(OPTIONS))
def test_the_same_delivery_always_becomes_the_same(body: bytes, options: Options) -> None:
    assert repr(outcome(body, options)) == repr(outcome(body, options))


@reproducible
@given(st.lists(st.sampled_from(cases("pagerduty")), max_size=8), st.randoms(use_true_random=False))
def test_any_deliveries_in_any_order_add_up_to_the_same(chosen: list[str], random: Any) -> None:
    changes = [
        change
        for number, case in enumerate(chosen)
        for change in _changes(received(body_of("pagerduty", case), f"delivery {number}"))
    ]
    shuffled = random.sample(changes, len(changes))
    assert fold(shuffled) == fold(changes)


def _changes(delivery: Any) -> tuple[Change, ...]:
    try:
        return translate(PAGERDUTY, delivery, Options(deployments="point")).changes
    except NotTranslated:
        return ()


@thorough
@given(st.binary(max_size=400))
def test_arbitrary_bytes_become_a_reason(body: bytes) -> None:
    found = outcome(body, OPTIONS[0])
    assert isinstance(found, NotTranslated)
    assert_sound_or_explained(found)


@thorough
@given(json_values, json_values, st.one_of(st.sampled_from(sorted(SHAPES_OF)), any_text))
def test_arbitrary_json_becomes_a_reason_or_sound(content: Any, data: Any, event: str) -> None:
    for payload in (
        content,
        {"event": content},
        {"event": {"event_type": event, "id": content, "data": data}},
    ):
        assert_sound_or_explained(outcome(json.dumps(payload).encode(), OPTIONS[0]))


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, body: bytes) -> None:
    for header in (value, f"v1={value}", f"v1={value},{value}"):
        secrets = {"PAGERDUTY_WEBHOOK_SECRET": (b"secret",)}
        assert PAGERDUTY.verify({"x-pagerduty-signature": header}, body, secrets, RECEIVED_AT) is False
