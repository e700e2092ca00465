"""Whatever a signed PagerDuty delivery holds, it becomes sound changes or a reason, and nothing else."""

import json
from copy import deepcopy
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.folding import fold
from receiver.events import Change
from receiver.sources.not_translated import NotTranslated
from receiver.sources.pagerduty import INCIDENT_EFFECTS, PAGERDUTY, Options
from receiver.sources.pagerduty.wording import REMARKS
from receiver.sources.source import translate
from tests.support.mutations import mutate, paths, times
from tests.support.pagerduty import DELIVERY_ID, RECEIVED_AT, received
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.soundness import (
    Outcome,
    assert_sound,
    assert_sound_or_explained,
    assert_survives_the_queue,
    outcome_of,
)
from tests.support.source_fixtures import body_of, cases

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
OPTIONS: Final = (
    Options(deployments="point"),
    Options(deployments="span", urgencies=("high",)),
    Options(deployments="point", urgencies=("low",), services=("check*",)),
)


PATHS: Final = {shape: sorted(paths(payload)) for shape, payload in REAL.items()}
references = st.lists(st.fixed_dictionaries({"summary": st.one_of(any_text, json_values)}), max_size=20)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    event = draw(st.sampled_from(sorted(SHAPES_OF)))
    shape = draw(st.sampled_from(SHAPES_OF[event]))
    payload = deepcopy(REAL[shape])
    payload["event"]["event_type"] = event
    ways = st.sampled_from(PATHS[shape])
    return json.dumps(mutate(draw, payload, ways, times, references)).encode()


def outcome(body: bytes, options: Options) -> Outcome:
    return outcome_of(lambda: translate(PAGERDUTY, received(body), options).changes)


def assert_sound_change(change: Change) -> None:
    assert_sound(change, DELIVERY_ID, "url", "service_url", "merged_into_url")
    event = change.event
    assert change.key.startswith("pagerduty:")
    assert all(isinstance(value, str) for value in event.metadata.values())
    assert event.ended_at is None or event.started_at is not None
    if change.sets is None:
        assert event.started_at is not None
        assert event.description


@thorough
@given(mutated(), st.sampled_from(OPTIONS))
def test_a_mutated_delivery_becomes_sound_changes_or_a_reason(body: bytes, options: Options) -> None:
    assert_sound_or_explained(outcome(body, options), assert_sound_change)


@reproducible
@given(mutated(), st.sampled_from(OPTIONS))
def test_a_change_comes_out_of_the_queue_as_it_went_in(body: bytes, options: Options) -> None:
    assert_survives_the_queue(outcome(body, options))


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
    assert_sound_or_explained(found, assert_sound_change)


@thorough
@given(json_values, json_values, st.one_of(st.sampled_from(sorted(SHAPES_OF)), any_text))
def test_arbitrary_json_becomes_a_reason_or_sound(content: Any, data: Any, event: str) -> None:
    for payload in (
        content,
        {"event": content},
        {"event": {"event_type": event, "id": content, "data": data}},
    ):
        assert_sound_or_explained(outcome(json.dumps(payload).encode(), OPTIONS[0]), assert_sound_change)


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, body: bytes) -> None:
    for header in (value, f"v1={value}", f"v1={value},{value}"):
        secrets = {"PAGERDUTY_WEBHOOK_SECRET": (b"secret",)}
        assert PAGERDUTY.verify({"x-pagerduty-signature": header}, body, secrets, RECEIVED_AT) is False
