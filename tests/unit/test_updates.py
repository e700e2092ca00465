"""Updates that depend on what an event already says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import Description
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.updates import append_lines, closing, merge_metadata
from tests.support.properties import any_text, long_text, reproducible

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


def stored(description: Description | None = None, **metadata: str) -> StoredEvent:
    return StoredEvent(sid="evt_1", type="incident", description=description, metadata=dict(metadata))


def test_an_event_is_closed_with_how_it_ended_below_what_it_says() -> None:
    assert closing(stored("p99 above 2 s"), NOON, "Rolled back").to_api() == {
        "description": "p99 above 2 s\nRolled back",
        "endedAt": "2026-01-10T12:00:00.000Z",
    }


@pytest.mark.parametrize("note", [None, ""])
def test_closing_without_a_note_leaves_the_description(note: str | None) -> None:
    assert closing(stored("p99 above 2 s"), NOON, note).to_api() == {"endedAt": "2026-01-10T12:00:00.000Z"}


def test_metadata_is_added_to_and_replaced_by_name() -> None:
    event = stored(marker_key="github:1", ticket="OPS-1")
    assert merge_metadata(event, {"ticket": "OPS-2", "actor": "ada"}) == {
        "marker_key": "github:1",
        "ticket": "OPS-2",
        "actor": "ada",
    }


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_removes_a_name(empty: str | None) -> None:
    assert merge_metadata(stored(ticket="OPS-1", actor="ada"), {"ticket": empty, "none": empty}) == {
        "actor": "ada"
    }


@pytest.mark.parametrize("value", [0, False, [], {}])
def test_other_values_are_values(value: object) -> None:
    assert merge_metadata(stored(), {"count": value}) == {"count": value}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("description", "expected"), [(None, "new"), ("", "new"), ("old", "old\nnew"), ("a\nb", "a\nb\nnew")]
)
def test_a_line_goes_below_the_description(description: str | None, expected: str) -> None:
    assert append_lines(description, ["new"]) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (1, "d" * 1_997 + "…\n"),
        (1_997, "d…\n"),
        (1_998, ""),
        (1_999, ""),
        (2_000, ""),
    ],
)
def test_the_description_is_cut_to_make_room(length: int, expected: str) -> None:
    assert append_lines("d" * 2_000, ["n" * length]) == expected + "n" * length


@reproducible
@given(st.one_of(any_text, long_text), st.lists(st.one_of(any_text, long_text), max_size=5))
def test_what_comes_out_is_a_description_as_the_api_takes_it(description: str, lines: list[str]) -> None:
    text = append_lines(description, lines)
    assert EventUpdate(description=text).description == text
