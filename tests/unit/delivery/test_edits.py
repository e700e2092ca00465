"""What a person has written into an event stays when it is updated."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apitraffic_events.event import Event, EventType
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import DESCRIPTION_LIMIT
from receiver.delivery.edits import beside_edits, is_edited, says_another_verdict
from receiver.delivery.folding import difference

SENT = Event(
    type=EventType.DEPLOYMENT,
    name="Deploy shop",
    description="Succeeded.\nBefore: v1.\n15 min after: the same.",
    metadata={"marker_key": "k", "status": "success", "verdict": "same"},
)
LATER = Event(
    type=EventType.DEPLOYMENT,
    name="Deploy shop (worse)",
    description="Succeeded.\nBefore: v1.\n15 min after: worse.",
    metadata={"marker_key": "k", "status": "success", "verdict": "worse", "suspects": ["x"]},
)


def stored(of: Event = SENT, **fields: Any) -> StoredEvent:
    return StoredEvent.model_validate(of.model_dump() | {"sid": "evt_1"} | fields)


def updated(shown: StoredEvent, desired: Event = LATER) -> EventUpdate | None:
    update = difference(SENT, desired)
    assert update is not None
    return beside_edits(update, (SENT,), desired, shown)


def test_what_nobody_has_edited_becomes_what_is_desired() -> None:
    assert not is_edited(stored(), SENT, LATER)
    assert not is_edited(stored(LATER), SENT, LATER)
    assert updated(stored()) == difference(SENT, LATER)
    assert updated(stored(LATER)) is None


@pytest.mark.parametrize(
    ("shown", "becomes"),
    [
        (
            "Ada: hotfix\nSucceeded.\nBefore: v1.\n15 min after: the same.",
            "Ada: hotfix\nSucceeded.\nBefore: v1.",
        ),
        ("Succeeded.\n\nBefore: v1.\n15 min after: the same. Really", None),
        ("Ada has written all of it anew.", "Ada has written all of it anew."),
        ("", ""),
    ],
)
def test_only_lines_of_ours_that_have_changed_are_replaced(shown: str, becomes: str | None) -> None:
    assert is_edited(stored(description=shown), SENT, LATER)
    update = updated(stored(description=shown))
    assert update is not None
    expected = shown if becomes is None else becomes
    assert update.description == f"{expected}\n15 min after: worse.".strip()


def test_a_line_is_not_said_twice() -> None:
    both = f"{SENT.description}\n15 min after: worse.\nAda"
    update = updated(stored(description=both))
    assert update is not None
    assert update.description == "Succeeded.\nBefore: v1.\n15 min after: worse.\nAda"


def test_if_there_is_no_room_ours_is_left_out() -> None:
    update = updated(stored(description="x" * DESCRIPTION_LIMIT))
    assert update is not None
    assert "description" not in update.model_fields_set


@pytest.mark.parametrize(
    ("name", "becomes"), [("Deploy shop (better)", "Deploy shop (worse)"), ("The bad one", None)]
)
def test_a_name_that_somebody_has_given_stays(name: str, becomes: str | None) -> None:
    update = updated(stored(name=name))
    assert update is not None
    assert update.name == becomes
    assert ("name" in update.model_fields_set) is (becomes is not None)


def test_a_line_that_is_not_so_any_more_goes_though_there_is_no_room_for_the_new_one() -> None:
    full = f"{SENT.description}\n{'x' * (DESCRIPTION_LIMIT - len(SENT.description or '') - 1)}"
    later = LATER.model_copy(update={"description": f"Succeeded.\nBefore: v1.\n15 min after: {'y' * 100}"})
    update = updated(stored(description=full), later)
    assert update is not None
    assert update.description == full.replace("15 min after: the same.\n", "")


@pytest.mark.parametrize(
    ("said", "desired", "becomes"),
    [
        (" (worse)", " (better)", "The bad one (better)"),
        (" (worse)", "", "The bad one"),
        ("", "", None),
    ],
)
def test_the_word_of_a_verdict_in_a_name_that_somebody_has_given_follows_the_verdict(
    said: str, desired: str, becomes: str | None
) -> None:
    sent = SENT.model_copy(update={"name": f"Deploy shop{said}"})
    later = LATER.model_copy(update={"name": f"Deploy shop{desired}"})
    update = difference(sent, later)
    assert update is not None
    update = beside_edits(update, (sent,), later, stored(name="The bad one (worse)"))
    assert update is not None
    assert update.name == becomes


def test_what_an_update_without_an_answer_has_made_is_nobodys_edit() -> None:
    lost = Event(
        type=EventType.DEPLOYMENT,
        name="Failed deploy shop",
        description="Failed.\nBefore: v1.",
        metadata={"marker_key": "k", "status": "failure"},
    )
    shown = stored(lost, description=f"{lost.description}\nAda", metadata={**lost.metadata, "ticket": 7})
    update = difference(None, LATER)
    assert update is not None
    update = beside_edits(update, (SENT, lost), LATER, shown)
    assert update is not None
    assert update.name == LATER.name
    assert update.description == "Before: v1.\nAda\nSucceeded.\n15 min after: worse."
    assert update.metadata == {**LATER.metadata, "ticket": 7}


def test_after_a_lost_answer_only_fields_that_it_may_have_changed_are_sent_again() -> None:
    lost = SENT.model_copy(update={"ended_at": datetime(2026, 11, 29, 10, tzinfo=UTC)})
    update = difference(None, SENT)
    assert update is not None
    by_hand = stored(lost, source="by hand")
    assert beside_edits(update, (SENT, lost), SENT, by_hand) == EventUpdate(ended_at=None)


@pytest.mark.parametrize("line", ["", "\n5 min after: not compared."])
def test_a_verdict_that_one_of_two_events_has_not_is_another(line: str) -> None:
    report = SENT.model_copy(update={"description": f"Failed.\nBefore: v1.\n15 min after: the same.{line}"})
    assert says_another_verdict(report, SENT) is bool(line)
    assert says_another_verdict(SENT, SENT, report) is bool(line)
    assert not says_another_verdict(report, None)


def test_facts_that_somebody_has_added_or_changed_stay() -> None:
    shown = {"marker_key": "k", "status": "by hand", "verdict": "mine", "ticket": 7}
    desired = LATER.model_copy(update={"metadata": {**LATER.metadata, "status": "failure"}})
    update = updated(stored(metadata=shown), desired)
    assert update is not None
    assert update.metadata == {**shown, "verdict": "worse", "suspects": ["x"]}


def test_facts_of_ours_go_with_what_they_were_about() -> None:
    desired = LATER.model_copy(update={"metadata": {"marker_key": "k", "status": "failure"}})
    update = updated(stored(metadata={**SENT.metadata, "ticket": 7}), desired)
    assert update is not None
    assert update.metadata == {"marker_key": "k", "status": "failure", "ticket": 7}


def test_the_key_of_the_marker_is_put_back() -> None:
    update = updated(stored(metadata={"ticket": 7}))
    assert update is not None
    assert update.metadata is not None
    assert update.metadata["marker_key"] == "k"
