"""Which dead letters a filter takes, and what a dead letter says of itself; no Redis."""

from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from receiver.queue.dead_letters import Cause, DeadLetter, DeadLetterFilter, Death
from receiver.queue.queues import delivery_queue
from tests.support.changes import KEY, TEN, change


def letter(change_fields: dict[str, Any] | None = None, **death: Any) -> DeadLetter:
    recorded = {
        "at": TEN,
        "cause": Cause.REFUSED,
        "kind": "Rejected",
        "code": "VALIDATION_ERROR",
        "status": 422,
        "message": "name is too long",
        "tries": 1,
    } | death
    fields = change("close", delivery="d-1").model_dump(mode="json", by_alias=True)
    return DeadLetter(
        name="github-d-1-0",
        queue=delivery_queue(Redis()),
        change=fields if change_fields is None else change_fields,
        death=Death.model_validate(recorded),
        accepted_at=TEN - timedelta(hours=1),
    )


@pytest.mark.parametrize(
    "wanted",
    [
        DeadLetterFilter(),
        DeadLetterFilter(source="github"),
        DeadLetterFilter(key=KEY),
        DeadLetterFilter(key="github:acme/*"),
        DeadLetterFilter(key="*:deployment:[0-9]*"),
        DeadLetterFilter(code="VALIDATION_ERROR"),
        DeadLetterFilter(code="validation_error"),
        DeadLetterFilter(code="422"),
        DeadLetterFilter(type="deployment"),
        DeadLetterFilter(cause="refused"),
        DeadLetterFilter(since=TEN, until=TEN),
        DeadLetterFilter(
            source="github", key="*acme*", code="422", type="deployment", cause="refused", since=TEN
        ),
    ],
)
def test_a_filter_takes_what_it_describes(wanted: DeadLetterFilter) -> None:
    assert wanted.includes(letter())


@pytest.mark.parametrize(
    "wanted",
    [
        DeadLetterFilter(source="gitlab"),
        DeadLetterFilter(source="git"),
        DeadLetterFilter(key="github:acme"),
        DeadLetterFilter(key="GITHUB:*"),
        DeadLetterFilter(code="INTERNAL_ERROR"),
        DeadLetterFilter(code="42"),
        DeadLetterFilter(type="incident"),
        DeadLetterFilter(cause="out_of_time"),
        DeadLetterFilter(since=TEN + timedelta(seconds=1)),
        DeadLetterFilter(until=TEN - timedelta(seconds=1)),
        DeadLetterFilter(source="github", code="500"),
    ],
)
def test_and_nothing_else(wanted: DeadLetterFilter) -> None:
    assert not wanted.includes(letter())


def test_only_no_filter_at_all_is_everything() -> None:
    assert DeadLetterFilter().is_everything
    assert not DeadLetterFilter(since=TEN).is_everything


@pytest.mark.parametrize("code", ["", "None", "none"])
def test_no_code_is_not_a_code(code: str) -> None:
    assert not DeadLetterFilter(code=code).includes(letter(code=None, status=None))


def test_its_json_has_the_documented_fields() -> None:
    assert letter().as_json() == {
        "name": "github-d-1-0",
        "died_at": "2026-01-10T10:00:00.000Z",
        "accepted_at": "2026-01-10T09:00:00.000Z",
        "cause": "refused",
        "kind": "Rejected",
        "status": 422,
        "code": "VALIDATION_ERROR",
        "message": "name is too long",
        "tries": 1,
        "key": KEY,
        "effect": "close",
        "type": "deployment",
        "event": "Deploy acme/shop v2.3.1 to production",
        "source": "github",
        "delivery": "d-1",
        "queue": "deliveries",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"key": 7, "event": "no object", "delivery": None},
        {"key": None, "event": {"name": []}, "delivery": []},
        {"key": "", "aliases": "no list"},
    ],
)
def test_a_change_of_another_shape_says_what_it_can(fields: dict[str, Any]) -> None:
    it = letter(fields)
    assert it.as_json() | {"key": "", "event": "", "source": ""} == it.as_json()
    assert it.marker_names == []
    assert DeadLetterFilter(code="422").includes(it)
    assert not DeadLetterFilter(key="?*").includes(it)


def test_a_markers_names_are_its_key_and_then_its_aliases() -> None:
    assert letter({"key": "a", "aliases": ["b", 7, "c"]}).marker_names == ["a", "b", "c"]
