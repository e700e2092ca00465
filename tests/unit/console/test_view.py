"""The address of the Events page says what it shows."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from werkzeug.datastructures import MultiDict

from apitraffic_events import StoredEvent
from receiver.console.markers import Marker, marker_of, matching
from receiver.console.view import LONGEST, View

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def view(query: str = "") -> View:
    return View.of(MultiDict(parse_qsl(query)), NOW, "6h")


def marker(**fields: object) -> Marker:
    event = {"sid": "evt_1", "type": "deployment", "name": "Deploy", "startedAt": "2026-11-28T11:30:00Z"}
    found = marker_of(StoredEvent.model_validate({**event, **fields}), {"env123": "production"})
    assert found is not None
    return found


@pytest.mark.parametrize(
    "query",
    [
        "range=7d&bucket=bkt_1&source=jenkins&q=acme&type=deployment&type=incident",
        "from=2026-11-28T10%3A00%3A00.000Z&to=2026-11-28T11%3A00%3A00.000Z",
    ],
)
def test_an_address_leads_to_itself(query: str) -> None:
    assert view(query).query() == query


@pytest.mark.parametrize(
    "query", ["range=1y", "from=x&to=y", "from=2026-11-28T11:00:00Z&to=2026-11-28T10:00:00Z"]
)
def test_what_cannot_be_read_shows_the_usual_period(query: str) -> None:
    assert (view(query).started_from, view(query).started_to) == (NOW - timedelta(hours=6), NOW)


def test_a_period_is_bounded() -> None:
    assert view("from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z").length == LONGEST


def test_what_began_before_and_lasts_into_the_period_is_shown() -> None:
    hour = view("range=1h")
    began = {"startedAt": "2026-11-28T08:00:00Z"}
    assert matching([marker(type="incident", **began)], hour)
    assert matching([marker(endedAt="2026-11-28T11:30:00Z", **began)], hour)
    assert not matching([marker(endedAt="2026-11-28T09:00:00Z", **began)], hour)
    assert not matching([marker(**began)], hour), "a deploy without an end is a point"
    assert not matching([marker(startedAt="2026-11-28T12:00:01Z")], hour)


@pytest.mark.parametrize(
    ("query", "is_shown"),
    [
        ("type=incident", False),
        ("type=incident&type=deployment", True),
        ("bucket=bkt_1", True),
        ("bucket=bkt_2", False),
        ("environment=env123", True),
        ("environment=env456", True),
        ("source=github_actions", True),
        ("source=jenkins", False),
        ("q=ACME%2Fshop", True),
        ("q=0123abc", True),
        ("q=nowhere", False),
    ],
)
def test_filters(query: str, is_shown: bool) -> None:
    found = marker(
        name="Deploy acme/shop", buckets=["bkt_1"], source="github_actions", metadata={"commit": "0123abc"}
    )
    assert bool(matching([found], view(query))) is is_shown


def test_a_marker_says_how_it_went() -> None:
    assert marker(type="incident").outcome == "open"
    assert marker(type="incident", endedAt="2026-11-28T11:40:00Z").outcome == "resolved"
    assert marker(metadata={"status": "failure"}).is_failed
    assert marker(environments=["env123"]).environment == "production"
    assert marker(type="of tomorrow").type == "custom"
