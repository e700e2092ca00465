"""What Alertmanager 0.25.0 really sent, and what it may send, each with all that it must become beside it."""

import json
from typing import Any

import pytest

from apitraffic_events.event import Event
from receiver.delivery.episodes import with_report
from receiver.delivery.folding import fold
from receiver.events import Change, Effect
from receiver.routing import Route, route
from receiver.sources.alertmanager import ALERTMANAGER
from receiver.sources.grafana import GRAFANA
from receiver.sources.not_translated import Untranslatable
from receiver.sources.source import Source, translate
from tests.support.alerts import RECEIVED_AT, change_of_case, changes_of, json_of, moment, received
from tests.support.source_fixtures import MODES, body_of, cases, expected, outcome

SOURCES: dict[str, Source[Any]] = {"alertmanager": ALERTMANAGER, "grafana": GRAFANA}
CASES = [(source, case) for source in SOURCES for case in cases(source)]


@pytest.mark.parametrize(("source", "case"), CASES)
def test_a_group_becomes_exactly_what_is_written_beside_it(source: str, case: str) -> None:
    for mode in MODES:
        delivery = received(source, body_of(source, case))
        assert outcome(SOURCES[source], delivery, mode) == expected(source, case, mode)
        assert case.startswith(f"{delivery.event}__")


@pytest.mark.parametrize("source", SOURCES)
def test_the_table_says_what_the_fixtures_become(source: str) -> None:
    became = {
        (case.partition("__")[0], change["event"]["type"], change["effect"])
        for of_source, case in CASES
        for change in expected(of_source, case, "point")
        if of_source == source
    }
    assert became == {(each.event, each.type, each.effect) for each in SOURCES[source].features}


def shown(*changes: Change) -> list[Event | None]:
    known: tuple[Change, ...] = ()
    for change in changes:
        revision = with_report(change.key, known, change)
        known = revision.alert.reports
    return [fold(episode.changes(RECEIVED_AT)) for episode in revision.alert.episodes]


@pytest.mark.parametrize("case", ["ha_earlier_start", "refire_second_start"])
def test_a_resolved_with_another_start_ends_what_was_heard_of_as_firing(case: str) -> None:
    """Captured: of a pair of Alertmanagers, and of an alert that fired twice between two notifications."""
    first = {"ha_earlier_start": "ha_first_start", "refire_second_start": "refire_first_start"}[case]
    firing, resolved = change_of_case(f"firing__{first}"), change_of_case(f"resolved__{case}")
    (event,) = shown(firing, resolved)
    assert event is not None
    assert event.started_at == min(firing.occurred_at, resolved.event.started_at or RECEIVED_AT)
    assert event.ended_at == resolved.event.ended_at


def test_a_repeat_is_another_delivery_although_its_body_is_the_same() -> None:
    """Seen: firing, resolved and firing again with the first body, within seconds, as Prometheus died."""
    body = body_of("alertmanager", "firing__all_fields")
    ids = {received("alertmanager", body, moment(when)).id for when in ("10:00", "10:00:05", "14:00")}
    assert len(ids) == 3


def test_a_report_says_when_it_was_heard_and_how_long_it_holds() -> None:
    change = change_of_case("firing__all_fields", close_after=7200)
    assert change.heard_at == RECEIVED_AT
    assert change.lapses_after is not None
    assert change.lapses_after.total_seconds() == 7200
    assert change_of_case("firing__all_fields", close_after=0).lapses_after is None


def test_a_group_may_be_one_marker() -> None:
    firing = change_of_case("firing__truncated_max_alerts_2", markers="group")
    assert (firing.effect, firing.event.name) == (Effect.OPEN, "MAX")
    assert firing.event.description == "3 alerts in the group."
    mixed = change_of_case("firing__one_resolved_one_firing", markers="group")
    assert mixed.effect is Effect.OPEN
    resolved = change_of_case("resolved__all_fields", markers="group")
    assert (resolved.effect, resolved.event.name) == (Effect.CLOSE, "HighLatency: p99 above 2 s")
    assert resolved.key.startswith("alertmanager:markers:group:")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"status": "firing"},
        {"status": "firing", "alerts": []},
        {"status": "firing", "alerts": [7, None]},
        {"status": ["firing"], "alerts": {}},
        [],
        "text",
    ],
    ids=str,
)
def test_what_is_no_group_is_kept_and_not_refused(content: Any) -> None:
    for source in SOURCES.values():
        delivery = received(source.name, json_of(content))
        with pytest.raises(Untranslatable):
            translate(source, delivery, source.options())


def test_too_many_alerts_are_kept_with_advice_and_as_a_group_they_are_one() -> None:
    alerts = [{"status": "firing", "fingerprint": f"{number:016x}"} for number in range(501)]
    delivery = received("alertmanager", json_of({"status": "firing", "alerts": alerts, "groupKey": "{}"}))
    with pytest.raises(Untranslatable, match="501 alerts"):
        translate(ALERTMANAGER, delivery, ALERTMANAGER.options())
    options = ALERTMANAGER.options.model_validate({"markers": "group"})
    assert len(translate(ALERTMANAGER, delivery, options).changes) == 1


def test_a_hostile_group_is_bounded() -> None:
    for value in (
        "x" * 1_000_000,
        [[[[[[[["x"]]]]]]]],
        {"a": {"b": {"c": {"d": {"e": 1}}}}},
        10**400,
        None,
        True,
    ):
        alert = dict.fromkeys(("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint"), value)
        group = {
            "status": "firing",
            "alerts": [alert, {"labels": {f"label {number}": value for number in range(20)}}],
            **dict.fromkeys(("receiver", "groupKey", "commonLabels", "externalURL", "orgId"), value),
        }
        for source in SOURCES.values():
            for change in translate(source, received(source.name, json_of(group)), source.options()).changes:
                assert len(json.dumps(change.model_dump(mode="json"))) < 40_000


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({"labels": {"service": "check*"}}, True),
        ({"labels": {"service": ["cart", "checkout"], "severity": "critical"}}, True),
        ({"labels": {"service": "cart"}}, False),
        ({"labels": {"team": "*"}}, False),
        ({"severity": "critical", "environment": "prod*"}, True),
    ],
    ids=str,
)
def test_a_route_may_match_labels_and_set_type_scope_and_name(match: dict[str, Any], matches: bool) -> None:
    (change,) = changes_of("firing__all_fields")
    rule = Route.model_validate(
        {"match": match, "type": "scale", "buckets": "Checkout API", "name": "{service} is slow"}
    )
    event = (route(change, [rule]) or change).event
    expected = ("scale", ("Checkout API",), "checkout is slow")
    assert ((event.type, event.buckets, event.name) == expected) is matches
