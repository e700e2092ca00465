"""PagerDuty's deliveries as files, each with everything it must become written beside it."""

import pytest

from receiver.events import Effect
from receiver.sources.pagerduty import PAGERDUTY
from receiver.sources.source import Feature
from tests.support.pagerduty import DELIVERY_ID, event_of, outcome, received
from tests.support.source_fixtures import MODES, body_of, cases, expected

CASES = cases("pagerduty")
MARKERS = [case for case in CASES if "ignored" not in expected("pagerduty", case, "point")]
BRIDGES = [case for case in CASES if "conference_bridge_number" in case]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(case: str, mode: str) -> None:
    assert outcome(body_of("pagerduty", case), mode) == expected("pagerduty", case, mode)


@pytest.mark.parametrize("case", CASES)
def test_a_delivery_says_where_it_came_from(case: str) -> None:
    delivery = received(body_of("pagerduty", case))
    assert (delivery.source, delivery.id, delivery.event) == ("pagerduty", DELIVERY_ID, event_of(case))
    assert case.startswith(f"{delivery.event}__")


@pytest.mark.parametrize("case", MARKERS)
def test_how_deploys_are_drawn_makes_no_difference_to_incidents(case: str) -> None:
    body = body_of("pagerduty", case)
    assert outcome(body, "point") == outcome(body, "span")


@pytest.mark.parametrize("case", BRIDGES)
def test_a_conference_bridge_is_not_shown(case: str) -> None:
    shown = str(outcome(body_of("pagerduty", case), "point"))
    for secret in ("1000", "555", "987654321", "secret-room"):
        assert secret not in shown


def test_no_fixture_becomes_anything_with_an_address_in_it() -> None:
    shown = str([outcome(body_of("pagerduty", case), "point") for case in CASES])
    assert "@" not in shown


def became(case: str) -> tuple[str | None, str | None]:
    found = expected("pagerduty", case, "point")
    if "ignored" in found:
        return None, None
    (change,) = found
    return change["event"]["type"], change["effect"]


def in_table(feature: Feature) -> tuple[str | None, str | None]:
    effect: Effect | None = feature.effect
    return (feature.type.value if feature.type else None, effect.value if effect else None)


@pytest.mark.parametrize("feature", PAGERDUTY.features, ids=lambda feature: f"{feature.event} {feature.when}")
def test_every_row_of_the_table_is_what_a_fixture_becomes(feature: Feature) -> None:
    found = {became(case) for case in CASES if event_of(case) == feature.event}
    assert in_table(feature) in found


def test_no_fixture_contradicts_the_table() -> None:
    for case in CASES:
        rows = {in_table(feature) for feature in PAGERDUTY.features if feature.event == event_of(case)}
        if not rows:  # not of version 3, or not known yet
            assert became(case) == (None, None), case
        elif not case.endswith("without_text"):
            assert became(case) in rows, case


def test_the_table_names_every_event_once_but_the_resolution() -> None:
    events = [feature.event for feature in PAGERDUTY.features]
    assert [event for event in dict.fromkeys(events) if events.count(event) > 1] == ["incident.resolved"]
    assert set(events) == set(PAGERDUTY.default_events)
    assert not any(feature.span_effect or feature.is_optional for feature in PAGERDUTY.features)
