"""Whatever is posted, it becomes sound changes or words on what is wrong with it, and nothing else."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.event_format import FIELDS
from receiver.sources.native import NATIVE, Options
from receiver.sources.not_translated import Invalid, ItemError
from receiver.sources.source import translate
from tests.support.mutations import times
from tests.support.native import MESSAGE_ID, RECEIVED_AT, received
from tests.support.properties import any_text, json_values, reproducible, thorough
from tests.support.soundness import assert_sound, assert_survives_the_queue

right: Final = st.fixed_dictionaries(
    {"type": st.sampled_from(list(EventType)), "name": any_text},
    optional={
        "description": any_text,
        "source": any_text,
        "metadata": st.dictionaries(any_text, json_values, max_size=5),
        "buckets": st.lists(any_text, max_size=3),
        "environments": st.lists(any_text, max_size=3),
        "startedAt": times,
        "endedAt": times,
        "key": any_text,
        "effect": st.sampled_from(list(Effect)),
        "occurredAt": times,
    },
)
spoilt: Final = st.builds(
    lambda item, more: item | more,
    right,
    st.dictionaries(st.one_of(st.sampled_from(FIELDS), any_text), json_values, max_size=3),
)
items: Final = st.one_of(right, spoilt, json_values)


def outcome(content: Any) -> tuple[tuple[Change, ...], tuple[ItemError, ...]]:
    try:
        found = translate(NATIVE, received(content), Options())
    except Invalid as invalid:
        refused = invalid
    else:
        assert found.changes
        return found.changes, found.errors
    assert refused.errors
    assert 1 <= len(refused.reason) <= 300
    return (), refused.errors


def assert_sound_change(change: Change) -> None:
    assert_sound(change, MESSAGE_ID)
    assert change.event.source
    assert (change.event.started_at is not None) or change.effect is Effect.UPDATE
    assert (change.sets is None) == (change.effect in {Effect.POINT, Effect.OPEN})
    assert_survives_the_queue((change,))


def assert_in_words(error: ItemError) -> None:
    assert 0 <= error.index < 100
    assert error.field
    assert all(ord(character) >= 0x20 for character in error.field)
    assert 1 <= len(error.detail) <= 300
    assert not any(word in error.detail for word in ("Input should", "Value error", "valid ", "should have"))
    f"{error.field} {error.detail}".encode()


@thorough
@given(st.one_of(items, st.lists(items, max_size=6)))
def test_whatever_is_posted_becomes_sound_changes_or_words(content: Any) -> None:
    changes, errors = outcome(content)
    for change in changes:
        assert_sound_change(change)
    for error in errors:
        assert_in_words(error)


@reproducible
@given(st.lists(items, min_size=1, max_size=6))
def test_each_item_is_either_taken_or_told_of(content: list[Any]) -> None:
    """But for the empty text, with which templates end their lists."""
    changes, errors = outcome(content)
    events = [item for item in content if item != ""]
    assert len(changes) + len({error.index for error in errors}) == max(1, len(events))


@reproducible
@given(st.lists(right, min_size=1, max_size=4), st.integers(0, 4))
def test_a_wrong_item_changes_nothing_of_the_others(content: list[Any], place: int) -> None:
    without, _ = outcome(content)
    spoilt_list = [*content]
    spoilt_list.insert(min(place, len(content)), {"nonsense": True})
    beside, _ = outcome(spoilt_list)
    assert [change.event.name for change in beside] == [change.event.name for change in without]


@thorough
@given(st.binary(max_size=400))
def test_arbitrary_bytes_become_words(body: bytes) -> None:
    changes, errors = outcome(body)
    assert not changes
    for error in errors:
        assert_in_words(error)


@reproducible
@given(st.text(st.characters(max_codepoint=255), max_size=300), st.binary(max_size=50))
def test_no_header_makes_verification_raise(value: str, body: bytes) -> None:
    secrets = {"EVENTS_WEBHOOK_SECRET": (b"secret",)}
    for name in ("webhook-signature", "webhook-id", "webhook-timestamp", "authorization"):
        genuine = {"webhook-id": "1", "webhook-timestamp": "1768046400", "webhook-signature": "v1,x"}
        for headers in ({name: value}, genuine | {name: value}):
            assert NATIVE.verify(headers, body, secrets, RECEIVED_AT) is False
            NATIVE.receive(headers, body, RECEIVED_AT)
