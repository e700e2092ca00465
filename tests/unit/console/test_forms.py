"""What is typed into the forms, read into what the API takes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from apitraffic_events import StoredEvent
from receiver.console.forms import Wrong, changed_event, closing_of, filled, new_event, of_event

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
STORED = StoredEvent.model_validate(
    {
        "sid": "evt_1",
        "type": "incident",
        "name": "Checkout is slow",
        "description": "Since the deploy.",
        "metadata": {
            "marker_key": "k",
            "number": 1842,
            "is_public": True,
            "teams": ["shop"],
            "commit": "0123abc",
        },
        "startedAt": "2026-11-28T11:00:00.123Z",
    }
)


def form(*rows: tuple[str, str], **fields: Any) -> MultiDict[str, str]:
    typed = MultiDict({"type": "deployment", "name": "Deploy", **fields})
    for key, value in rows:
        typed.add("metadata_key", key)
        typed.add("metadata_value", value)
    return typed


def of_stored(**changes: str) -> MultiDict[str, str]:
    """The form of the stored event as its page sends it, with these changes."""
    shown = of_event(STORED)
    typed = form(*shown.rows, type=shown.type, name=shown.name, description=shown.description)
    typed["started_at"] = shown.started_at
    for name, value in changes.items():
        typed[name] = value
    return typed


def test_an_event_is_made_of_what_was_typed() -> None:
    typed = form(("commit", " 0123abc "), ("", ""), started_at="2026-11-28T11:00:00.000Z", name=" Deploy ")
    typed.setlist("buckets", ["bkt_1", "bkt_2"])
    event = new_event(typed)
    assert (event.name, event.source, event.metadata) == ("Deploy", "manual", {"commit": "0123abc"})
    assert event.buckets == ("bkt_1", "bkt_2")
    assert event.environments == ("*",)
    assert event.started_at == datetime(2026, 11, 28, 11, tzinfo=UTC)


def test_all_among_the_buckets_means_all() -> None:
    typed = form()
    typed.setlist("buckets", ["bkt_1", "*"])
    assert new_event(typed).buckets == ("*",)


def test_a_time_without_a_zone_is_utc_as_the_page_says_without_its_script() -> None:
    assert new_event(form(started_at="2026-11-28T11:00")).started_at == datetime(2026, 11, 28, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"type": "party"}, "type"),
        ({"started_at": "yesterday"}, "startedAt"),
        ({"started_at": "2026-11-28T11:00", "ended_at": "2026-11-28T10:00"}, "endedAt"),
    ],
)
def test_what_is_wrong_stands_at_its_field(fields: dict[str, str], field: str) -> None:
    with pytest.raises(Wrong) as wrong:
        new_event(form(**fields))
    assert filled(form(**fields), wrong.value.errors).error(field)


@pytest.mark.parametrize("rows", [[("", "value")], [("commit", "1"), ("commit", "2")]])
def test_metadata_needs_names_that_differ(rows: list[tuple[str, str]]) -> None:
    with pytest.raises(Wrong) as wrong:
        new_event(form(*rows))
    assert list(wrong.value.errors) == ["metadata"]


def test_saving_a_form_as_it_was_changes_nothing() -> None:
    assert changed_event(of_stored(), STORED).to_api() == {}


def test_only_what_was_changed_is_sent_and_metadata_keeps_its_types() -> None:
    assert changed_event(of_stored(name="Checkout is down"), STORED).to_api() == {"name": "Checkout is down"}
    typed = of_stored()
    values = typed.getlist("metadata_value")
    values[values.index("0123abc")] = "4567def"
    typed.setlist("metadata_value", values)
    assert changed_event(typed, STORED).to_api() == {"metadata": {**STORED.metadata, "commit": "4567def"}}


def test_a_start_cannot_be_taken_away() -> None:
    with pytest.raises(Wrong) as wrong:
        changed_event(of_stored(started_at=""), STORED)
    assert list(wrong.value.errors) == ["startedAt"]


class TestClosing:
    def test_the_resolution_goes_below_the_description(self) -> None:
        update = closing_of(MultiDict({"resolution": "Rolled back."}), STORED, NOW)
        assert update.description == "Since the deploy.\nRolled back."
        assert update.ended_at == NOW

    def test_it_needs_one_and_an_end_after_the_start(self) -> None:
        for typed, field in (
            ({"resolution": " "}, "resolution"),
            ({"resolution": "Done", "ended_at": "2026-11-28T10:00"}, "endedAt"),
        ):
            with pytest.raises(Wrong) as wrong:
                closing_of(MultiDict(typed), STORED, NOW)
            assert list(wrong.value.errors) == [field]
