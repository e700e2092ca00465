"""What holds for every change, whatever the delivery was that it was made of."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from apitraffic_events.event import METADATA_SIZE
from receiver.events import Change
from receiver.sources.not_translated import Ignored, NotTranslated, Untranslatable

FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Written out here, not taken from the code under test."""

Outcome = tuple[Change, ...] | Ignored | Untranslatable


def outcome_of(translate: Callable[[], tuple[Change, ...]]) -> Outcome:
    """The changes, or the reason why there are none."""
    try:
        return translate()
    except (Ignored, Untranslatable) as reason:
        return reason


def texts(value: Any) -> Iterator[str]:
    """All text in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def assert_sound(change: Change, delivery_id: str, *urls: str) -> None:
    """The Events API would take it, its text is safe, its times are in order.

    `urls` are the names in its metadata that are links, if they are there.
    """
    event = change.event
    sent = event.to_api()
    written = json.dumps(sent, allow_nan=False, ensure_ascii=False)
    assert json.loads(written.encode("utf-8")) == sent
    assert 1 <= len(event.name) <= 200
    assert 1 <= len(change.key) <= 300
    assert len(change.remark or "") <= 300
    assert len(event.description or "") <= 2_000
    assert len(json.dumps(event.metadata, ensure_ascii=False)) <= METADATA_SIZE
    assert event.metadata["marker_key"] == change.key
    assert event.metadata["delivery_id"] == delivery_id
    assert None not in event.metadata.values()
    assert "" not in event.metadata.values()
    one_liners = [change.key, event.name, change.remark or "", *texts(event.metadata)]
    for text in [*one_liners, *(event.description or "").split("\n")]:
        assert not FORBIDDEN.search(text), text
    for name in urls:
        assert str(event.metadata.get(name, "https://")).startswith(("https://", "http://"))
    assert change.occurred_at.utcoffset() is not None
    assert event.ended_at is None or event.started_at is None or event.ended_at >= event.started_at


def assert_explained(reason: NotTranslated) -> None:
    assert 1 <= len(reason.reason) <= 300
    assert reason.reason.isprintable()
    reason.reason.encode("utf-8")


def assert_sound_or_explained(outcome: Outcome, assert_change: Callable[[Change], None]) -> None:
    if isinstance(outcome, NotTranslated):
        assert_explained(outcome)
        return
    assert outcome
    for change in outcome:
        assert_change(change)


def assert_survives_the_queue(outcome: Outcome) -> None:
    """Each change is taken out of the queue as it was put in."""
    for change in () if isinstance(outcome, NotTranslated) else outcome:
        queued = json.loads(json.dumps(change.model_dump(mode="json", by_alias=True)))
        taken_out = Change.model_validate(queued)
        assert taken_out.event.to_api() == change.event.to_api()
        assert taken_out.model_dump(mode="json", by_alias=True) == queued
