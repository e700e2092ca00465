"""Whatever is posted, it becomes sound changes or words on what is wrong with it, and nothing else."""

import json
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events.event import METADATA_SIZE, EventType
from receiver.events import Change, Effect
from receiver.sources.base import Invalid, ItemError, translate
from receiver.sources.event_format import FIELDS
from receiver.sources.native import NATIVE, Options
from tests.support.native import MESSAGE_ID, RECEIVED_AT, received
from tests.support.properties import any_text, json_values, reproducible, thorough

times: Final = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"]),
)
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
    assert event.metadata["delivery_id"] == MESSAGE_ID
    assert event.source
    assert change.occurred_at.utcoffset() is not None
    assert (event.started_at is not None) or change.effect is Effect.UPDATE
    assert event.ended_at is None or event.started_at is None or event.ended_at >= event.started_at
    assert (change.sets is None) == (change.effect in {Effect.POINT, Effect.OPEN})
    queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
    assert Change.model_validate(queued).model_dump(mode="json", by_alias=True) == queued


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
        assert_sound(change)
    for error in errors:
        assert_in_words(error)


@reproducible
@given(st.lists(items, min_size=1, max_size=6))
def test_each_item_is_either_taken_or_told_of(content: list[Any]) -> None:
    changes, errors = outcome(content)
    assert len(changes) + len({error.index for error in errors}) == len(content)


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
