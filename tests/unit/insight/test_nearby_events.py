"""What is known of an event that was near a moment, from what it says itself and from its neighbours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apitraffic_events.records import StoredEvent
from receiver.insight.nearby_events import NearbyEvent, ScopeFilter, histories, nearby_event_of, told_verdict
from receiver.insight.nearness import Near

NOON = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
LINE = "15 min after: errors 0.3 % → 2.1 %, mean response 145 → 310 ms, 1.2 k requests"

TOLD = {"previous_version": "v1", "previous_deployed_at": "2026-01-01T00:00:00Z"}


def event(minute: int, type_: str = "deployment", **fields: Any) -> StoredEvent:
    fields = {"sid": f"evt_{minute}", "name": f"at {minute}", **fields}
    return StoredEvent.model_validate(
        {"type": type_, "startedAt": (NOON + timedelta(minutes=minute)).isoformat(), **fields}
    )


def deploy(minute: int, **facts: Any) -> StoredEvent:
    known = {"repository": "acme/shop", "environment": "production", "status": "success"}
    return event(minute, metadata=known | facts)


def change(of: StoredEvent, *others: StoredEvent) -> NearbyEvent:
    return nearby_event_of(Near(of, timedelta()), histories((of, *others)))


def test_the_versions_are_those_before_and_since() -> None:
    first, second, third = deploy(0, version="v1.0"), deploy(1, version="v2.0"), deploy(2, version="v1.0")
    assert change(first, second, third).versions == "v1.0"
    assert change(second, first, third).versions == "v1.0 → v2.0"
    assert change(third, first, second).versions == "v2.0 → v1.0 (rollback)"
    assert change(deploy(3, version="v1.0"), first, second, third).versions == "v1.0 (again)"
    assert change(event(0)).versions == ""


def test_what_runs_elsewhere_did_not_run_before() -> None:
    other = deploy(0, version="v1", environment="staging")
    assert change(deploy(1, version="v2"), other).previous is None


def test_what_the_receiver_has_written_counts_before_what_neighbours_say() -> None:
    told = {"previous_version": "v7", "previous_deployed_at": "2026-01-01T00:00:00Z", "course": "rollback"}
    assert change(deploy(1, version="v2", **told), deploy(0, version="v1")).versions == "v7 → v2 (rollback)"


def test_an_incident_is_open_until_it_has_an_end() -> None:
    assert change(event(0, "incident")).outcome == "open"
    assert change(event(0, "incident", endedAt="2026-01-10T13:00:00Z")).outcome == "resolved"


@pytest.mark.parametrize(
    "facts",
    [
        {"verdict": ["worse"]},
        {"verdict": {"word": "worse"}},
        {"verdict": "awful"},
        {"previous_version": 1, "previous_deployed_at": [], "course": {}},
        {"previous_version": "v1", "previous_deployed_at": "2026-01-01T00:00:00Z", "course": ["rollback"]},
        {
            "previous_version": "v1",
            "previous_deployed_at": "2026-01-01T00:00:00Z",
            "compare_url": "javascript:x",
        },
        {"url": "https://x/\x1b[31m", "run_url": "data:text/html,x"},
        {"environment": 1, "status": None, "marker_key": {}},
    ],
)
def test_nonsense_in_what_anybody_can_post_is_left_out(facts: dict[str, Any]) -> None:
    told = change(deploy(0, version="v2", **facts))
    assert told.verdict is None
    assert told.compare_url is None
    assert told.url is None


def test_a_verdict_is_of_windows_of_a_certain_length() -> None:
    judged = event(0, metadata={"verdict": "worse"}, description=f"Kept.\n{LINE}")
    verdict = told_verdict(judged)
    assert verdict is not None
    assert (verdict.word, verdict.line) == ("worse", LINE)
    assert told_verdict(judged, timedelta(minutes=15)) == verdict
    assert told_verdict(judged, timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("environment", "is_included"), [("PROD", True), ("production", True), (None, True), ("staging", False)]
)
def test_prod_is_production_and_what_names_no_environment_may_be_of_any(
    environment: str | None, *, is_included: bool
) -> None:
    facts = {"environment": environment} if environment else {}
    assert ScopeFilter("production").includes(event(0, metadata=facts)) is is_included


def test_the_scope_of_an_event_is_its_charts_and_its_environment_without_itself() -> None:
    incident = event(0, "incident", buckets=["bkt_1"], metadata={"environment": "production"})
    scope = ScopeFilter(of=incident)
    assert not scope.includes(incident)
    assert scope.includes(event(1))
    assert scope.includes(event(1, buckets=["bkt_1", "bkt_2"]))
    assert not scope.includes(event(1, buckets=["bkt_2"]))
    assert not scope.includes(event(1, metadata={"environment": "staging"}))
    assert scope.includes(event(1, "custom", metadata={"environment": "prod"}))
