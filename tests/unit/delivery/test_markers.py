"""What is remembered of a marker, and what is forgotten when it becomes too much."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.folding import fold
from receiver.delivery.markers import MOST_CHANGES, Marker
from receiver.events import Change
from tests.support.changes import KEY, at, change
from tests.support.properties import reproducible

OPENED = change("open", 0, started_at=at(0))
CLOSED = change("close", 5, started_at=at(0), ended_at=at(5))


def remembered(*changes: Change) -> Marker:
    marker = Marker(KEY)
    for one in changes:
        marker = marker.with_change(one)
    return marker


def updates(number: int, after: float) -> list[Change]:
    return [change("update", after + index, metadata={f"note{index}": "x"}) for index in range(number)]


def test_changes_are_kept_in_the_order_in_which_they_happened() -> None:
    later = change("reopen", 9)
    for order in permutations([OPENED, CLOSED, later]):
        assert remembered(*order).changes == (OPENED, CLOSED, later)


def test_a_change_is_remembered_once() -> None:
    assert remembered(OPENED, OPENED, CLOSED, OPENED).changes == (OPENED, CLOSED)


def test_a_new_change_leaves_the_rest_of_the_marker_alone() -> None:
    known = Marker(KEY, (OPENED,), sid="evt_1", sent=OPENED.event, is_in_doubt=True)
    added = known.with_change(CLOSED)
    assert (added.key, added.sid, added.sent, added.is_in_doubt) == (KEY, "evt_1", OPENED.event, True)
    assert known.changes == (OPENED,)


def test_never_more_than_the_bound_is_remembered() -> None:
    marker = remembered(OPENED, *updates(MOST_CHANGES * 2, after=1))
    assert len(marker.changes) == MOST_CHANGES


def test_the_opening_and_the_latest_are_remembered_and_the_rest_in_one() -> None:
    notes = updates(MOST_CHANGES * 2, after=1)
    marker = remembered(OPENED, *notes, last := change("close", 500, ended_at=at(500)))
    assert marker.changes[0] == OPENED
    assert marker.changes[-1] == last
    assert marker.changes[2:-1] == tuple(notes[-MOST_CHANGES + 3 :])
    assert set(marker.changes[1].event.metadata) == {
        f"note{index}" for index in range(MOST_CHANGES * 2 - MOST_CHANGES + 3)
    }


def test_a_closing_after_ever_so_many_updates_closes_from_the_true_start() -> None:
    marker = remembered(OPENED, *updates(MOST_CHANGES * 2, after=1), change("close", 500, ended_at=at(500)))
    found = fold(marker.changes)
    assert found is not None
    assert (found.started_at, found.ended_at) == (at(0), at(500))


def test_a_closed_marker_stays_closed_however_many_updates_follow() -> None:
    found = fold(remembered(OPENED, CLOSED, *updates(MOST_CHANGES, after=6)).changes)
    assert found is not None
    assert found.ended_at == at(5)


def test_no_metadata_is_forgotten_however_many_updates_follow() -> None:
    found = fold(remembered(OPENED, *updates(MOST_CHANGES + 10, after=1)).changes)
    assert found is not None
    assert len(found.metadata) == MOST_CHANGES + 10


def test_what_was_called_off_stays_so_however_many_updates_follow() -> None:
    off = change("update", 0, sets=("metadata",)).model_copy(update={"is_final": True})
    more = [change("update", 1 + number, sets=("metadata",)) for number in range(MOST_CHANGES * 2)]
    assert fold(remembered(off, *more, CLOSED).changes) is None


def test_what_ended_it_and_the_first_word_after_the_end_stay_however_many_updates_follow() -> None:
    merged = change("update", 4, name="Merged", ended_at=at(4))
    words = [
        change("update", 5 + number, name="Late words", metadata={"report": str(number)})
        for number in range(MOST_CHANGES * 2)
    ]
    found = fold(remembered(OPENED, merged, *words).changes)
    assert found == fold([OPENED, merged, *words])
    assert found is not None
    assert (found.name, found.ended_at, found.metadata) == ("Merged", at(4), {"report": "0"})


def test_a_remark_is_shown_with_its_own_time_however_many_updates_follow() -> None:
    found = fold(
        remembered(OPENED, change("update", 2, remark="Ben: looking"), *updates(60, after=3)).changes
    )
    assert found is not None
    assert found.description == "10:02 UTC Ben: looking"


@pytest.mark.parametrize("effects", [("update",), ("close", "reopen")])
def test_no_name_of_the_marker_is_forgotten_however_many_changes_follow(effects: tuple[str, ...]) -> None:
    named = [change(effects[0], 1, key="by another key")]
    rest = [change(effects[index % len(effects)], 2 + index) for index in range(MOST_CHANGES * 2)]
    marker = remembered(OPENED, *named, *rest)
    assert len(marker.changes) == MOST_CHANGES
    assert {name for one in marker.changes for name in one.names} == {KEY, "by another key"}


@reproducible
@given(
    st.permutations(
        [OPENED, CLOSED, *updates(5, after=1), change("reopen", 7), change("close", 8, ended_at=at(8))]
    )
)
def test_below_the_bound_the_order_of_arrival_leaves_the_same_memory(order: list[Change]) -> None:
    assert remembered(*order).changes == remembered(*sorted(order, key=lambda one: one.occurred_at)).changes
