"""Annotations as Argo CD, Flux, Graphite's format and scripts post them, and how they are ended."""

import json
from typing import Any

import pytest

from receiver.delivery.folding import fold
from receiver.events import Change, Delivery
from receiver.sources.annotations import ANNOTATIONS, answer
from receiver.sources.not_translated import Ignored, Invalid
from receiver.sources.request import PATH_ITEM
from receiver.sources.source import translate
from tests.support.native import RECEIVED_AT
from tests.support.source_fixtures import body_of, cases, expected, outcome

CASES = cases("annotations")
TIME = 1767952800000
"""2026-01-09 10:00 UTC."""


def received(content: Any, item: str = "") -> Delivery:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ANNOTATIONS.receive({PATH_ITEM: item} if item else {}, body, RECEIVED_AT)


def change_of(content: Any, item: str = "") -> Change:
    (change,) = translate(ANNOTATIONS, received(content, item), ANNOTATIONS.options()).changes
    return change


def received_case(case: str) -> Delivery:
    item = "4242" if case.startswith("changed__") else "graphite" if case.endswith("graphite") else ""
    return received(body_of("annotations", case), item)


@pytest.mark.parametrize("case", CASES)
def test_an_annotation_becomes_exactly_what_is_written_beside_it(case: str) -> None:
    delivery = received_case(case)
    assert outcome(ANNOTATIONS, delivery, "point") == expected("annotations", case, "point")
    assert case.startswith(f"{delivery.event}__")


def test_the_table_says_what_the_fixtures_become() -> None:
    rows = {(each.event, each.effect) for each in ANNOTATIONS.features if each.type}
    types = {each.type for each in ANNOTATIONS.features if each.type}
    became = [
        (case.partition("__")[0], change)
        for case in CASES
        for change in expected("annotations", case, "point")
    ]
    assert {change["event"]["type"] for _, change in became} == types
    of_open = {(event, change["effect"]) for event, change in became if "endedAt" not in change["event"]}
    assert of_open | {("changed", "close")} == rows


def test_the_answer_is_grafanas_and_its_id_is_a_number_that_javascript_can_hold() -> None:
    delivery = received({"text": "Sale begins"})
    assert answer(delivery) == {"message": "Annotation added", "id": int(delivery.id)}
    assert int(delivery.id) < 2**53
    assert answer(received({}, "7")) == {"message": "Annotation patched"}


def test_a_ping_of_the_doctor_makes_no_marker() -> None:
    with pytest.raises(Ignored):
        change_of({"ping": True})


def test_an_attempt_to_send_it_again_has_the_same_id() -> None:
    first, again = received({"text": "x", "time": TIME}), received({"text": "x", "time": TIME})
    assert first.id == again.id != received({"text": "y", "time": TIME}).id


def test_a_patch_ends_the_annotation_whose_id_it_names() -> None:
    delivery = received({"text": "Sale begins", "time": TIME})
    opened = change_of({"text": "Sale begins", "time": TIME})
    ended = change_of({"timeEnd": TIME + 300_000}, delivery.id)
    assert ended.key == opened.key
    for changes in ((opened, ended), (ended, opened)):
        event = fold(changes)
        assert event is not None
        assert event.name == "Sale begins"
        assert event.started_at is not None
        assert event.ended_at is not None
        assert (event.ended_at - event.started_at).total_seconds() == 300


def test_a_patch_changes_only_what_it_has() -> None:
    opened = change_of({"text": "Sale begins", "time": TIME, "tags": ["deploy"]})
    changed = change_of({"text": "Sale begins now"}, opened.key.partition(":")[2])
    event = fold((opened, changed))
    assert event is not None
    assert (event.name, event.type.value, event.started_at) == (
        "Sale begins now",
        "deployment",
        opened.event.started_at,
    )


@pytest.mark.parametrize(
    ("content", "item", "field"),
    [
        (b"{", "", "body"),
        ([], "", "body"),
        ({}, "", "text"),
        ({"text": " "}, "", "text"),
        ({"text": 7}, "", "text"),
        ({"text": "x", "time": "soon"}, "", "time"),
        ({"text": "x", "when": 7}, "", "when"),
        ({"text": "x", "time": 4102444800000}, "", "time"),
        ({"text": "x", "timeEnd": [1]}, "", "timeEnd"),
        ({"timeEnd": TIME}, "not-an-id", "id"),
        ({"timeEnd": TIME}, "9" * 400, "id"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_the_fields_name(content: Any, item: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        change_of(content, item)
    assert [error.field for error in caught.value.errors] == [field]
