"""Events as files, each with everything it must become written beside it."""

import json
from typing import Any

import pytest

from receiver.sources.event_format import EVENT
from receiver.sources.native import CLOUD_EVENTS, FEATURES, NATIVE, Options
from receiver.sources.source import translate
from tests.support.native import MESSAGE_ID, received
from tests.support.source_fixtures import MODES, body_of, cases, expected, outcome

CASES = [case for case in cases("events") if case.startswith("event__")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_an_event_becomes_exactly_what_is_written_beside_it(case: str, mode: str) -> None:
    assert outcome(NATIVE, received(body_of("events", case)), mode) == expected("events", case, mode)


@pytest.mark.parametrize("case", CASES)
def test_a_change_says_where_it_came_from(case: str) -> None:
    (change,) = translate(NATIVE, received(body_of("events", case)), Options()).changes
    assert change.delivery.model_dump() == {"source": "events", "id": MESSAGE_ID, "event": "event"}


def row_of(case: str) -> tuple[str, str]:
    """The row of the table that a fixture is an example of: its type, and the effect that it asks for."""
    content: Any = json.loads(body_of("events", case))
    item = content[0] if isinstance(content, list) else content
    ended = "close" if item.get("endedAt") else None
    effect = item.get("effect") or ended
    when = f"type {item.get('type')}"
    return ("event", f"{when}, effect {effect}" if effect else when)


def test_the_table_of_features_says_what_the_fixtures_become() -> None:
    rows = {(feature.event, feature.when): feature for feature in FEATURES if feature.event == EVENT}
    seen = set()
    for case in CASES:
        feature = rows.get(row_of(case))
        for mode in MODES if feature else ():
            (change,) = expected("events", case, mode)
            assert feature is not None
            assert (change["effect"], change["event"]["type"]) == (feature.effect, feature.type)
            seen.add((feature.event, feature.when))
    assert seen == set(rows)
    assert len(rows) == len(FEATURES) - len(CLOUD_EVENTS)
