"""Events as the API returns them, also those that we would not send."""

from typing import Any

import pytest

from apitraffic_events.event import ALREADY_CLEAN, Event, EventType
from apitraffic_events.records import NO_NAME, StoredEvent


class TestAnEventOutsideOurLimits:
    """Made by another version, or by hand: it is taken as it is."""

    def test_more_metadata_than_we_send_is_kept(self) -> None:
        many, large = ({f"key_{n}": "x" * size for n in range(101)} for size in (1, 500))
        for metadata in (many, large):
            event = StoredEvent.model_validate(stored(metadata=metadata)).as_event()
            assert event.metadata == metadata

    @pytest.mark.parametrize("name", ["", "   ", None, "\u200b"])
    def test_a_blank_name_gets_words(self, name: str | None) -> None:
        assert StoredEvent.model_validate(stored(name=name)).as_event().name == NO_NAME

    def test_an_unknown_type_is_custom(self) -> None:
        assert StoredEvent.model_validate(stored(type="maintenance")).as_event().type is EventType.CUSTOM

    def test_too_many_places_are_the_first_ones(self) -> None:
        buckets = [f"bkt_{number}" for number in range(150)]
        event = StoredEvent.model_validate(stored(buckets=buckets)).as_event()
        assert event.buckets == tuple(buckets[:100])

    def test_it_can_be_stored_and_read_again(self) -> None:
        event = StoredEvent.model_validate(
            stored(
                name="", type="maintenance", metadata={f"key_{number}": "x" * 500 for number in range(150)}
            )
        ).as_event()
        again = Event.model_validate_json(event.model_dump_json(by_alias=True), context=ALREADY_CLEAN)
        assert again == event


def stored(**fields: Any) -> dict[str, Any]:
    return {
        "sid": "evt_1",
        "type": "deployment",
        "name": "Deploy",
        "startedAt": "2026-01-10T10:00:00Z",
    } | fields


def test_a_lone_surrogate_makes_no_event_unreadable() -> None:
    event = StoredEvent.model_validate(stored(name="Deploy \ud800", description="\udfff"))
    assert event.as_event().name.startswith("Deploy")
