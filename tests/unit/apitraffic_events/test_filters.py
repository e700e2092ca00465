"""What a list returns is compared with what was asked for, and spellings of filters are tried once each."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from apitraffic_events.client import EventsClient
from apitraffic_events.filters import SPELLINGS, EventFilter, Position
from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import format_timestamp, parse_timestamp

BASE = "https://api.test/v1"
EVENTS = f"{BASE}/accounts/acc_1/events"
TEN = datetime(2026, 1, 10, 10, tzinfo=UTC)
Query = dict[str, str]


def at(minutes: float) -> datetime:
    return TEN + timedelta(minutes=minutes)


def record(number: int, **fields: Any) -> dict[str, Any]:
    """The event that started so many minutes after ten."""
    return {
        "sid": f"evt_{number}",
        "type": "deployment",
        "name": f"Event {number}",
        "startedAt": format_timestamp(at(number)),
    } | fields


class FakeApi:
    """An API whose list knows only these parameters; 100 events, one a minute, newest first."""

    def __init__(self, http: responses.RequestsMock, knows: tuple[str, ...]) -> None:
        self.records = [record(number) for number in range(99, -1, -1)]
        self.knows = knows
        self.refuses: frozenset[str] = frozenset()
        self.asked: list[Query] = []
        http.add_callback("GET", EVENTS, self.answer)

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url or "").query).items()}
        self.asked.append(query)
        assert len(self.asked) < 50, "it goes on for ever"
        if self.refuses & set(query):
            return 400, {}, '{"error": {"code": "VALIDATION_ERROR", "message": "unknown parameter"}}'
        found = [item for item in self.records if all(self._fits(item, query, name) for name in self.knows)]
        size, number = int(query["limit"]), int(query["page"])
        shown = found[size * (number - 1) : size * number]
        body = {"records": shown, "hasMore": len(found) > size * number}
        return 200, {}, json.dumps(body)

    def _fits(self, item: dict[str, Any], query: Query, name: str) -> bool:
        if name not in query:
            return True
        if name in {"type", "eventType"}:
            return str(item["type"]) == query[name]
        began_at, limit = parse_timestamp(item["startedAt"]), parse_timestamp(query[name])
        assert began_at is not None
        assert limit is not None
        return began_at <= limit if name.lower().startswith(("end", "to")) else began_at >= limit


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def client() -> Iterator[EventsClient]:
    with EventsClient(api_url=BASE, account_sid="acc_1", token="some-token") as made:
        yield made


def in_period(client: EventsClient) -> list[str]:
    return [event.sid for event in client.iter_events(started_from=at(40), started_to=at(42))]


RIGHT = ["evt_42", "evt_41", "evt_40"]


@pytest.mark.parametrize("spelling", SPELLINGS["start"])
def test_every_spelling_is_found_and_remembered(
    http: responses.RequestsMock, client: EventsClient, spelling: tuple[str, ...]
) -> None:
    api = FakeApi(http, spelling)
    assert in_period(client) == RIGHT
    assert len(api.asked) <= len(SPELLINGS["start"])
    assert client.filters.in_use("start") == spelling
    before = len(api.asked)
    assert in_period(client) == RIGHT
    assert len(api.asked) == before + 1


def test_an_api_that_knows_no_filter_is_read_and_filtered_here(
    http: responses.RequestsMock, client: EventsClient
) -> None:
    api = FakeApi(http, ())
    assert in_period(client) == RIGHT
    assert client.filters.in_use("start") is None
    before = len(api.asked)
    assert in_period(client) == RIGHT
    assert len(api.asked) == before + 1
    assert set(api.asked[-1]) == {"limit", "page"}


def test_one_page_is_filtered_here_too(http: responses.RequestsMock, client: EventsClient) -> None:
    FakeApi(http, ())
    found = client.list_events(started_from=at(40), started_to=at(42))
    assert [event.sid for event in found.records] == RIGHT


def test_the_type_is_not_trusted_either(http: responses.RequestsMock, client: EventsClient) -> None:
    api = FakeApi(http, ("eventType",))
    api.records[3] = record(96, type="incident")
    assert [event.sid for event in client.iter_events(type="incident")] == ["evt_96"]
    assert client.filters.in_use("type") == ("eventType",)


def test_a_parameter_that_is_refused_is_not_sent_again(
    http: responses.RequestsMock, client: EventsClient
) -> None:
    api = FakeApi(http, ("start_date", "end_date"))
    api.refuses = frozenset({"startDate"})
    assert in_period(client) == RIGHT
    assert in_period(client) == RIGHT
    assert sum("startDate" in query for query in api.asked) == 1


def test_reading_ends_at_a_page_that_is_older_than_the_period(
    http: responses.RequestsMock, client: EventsClient
) -> None:
    api = FakeApi(http, ())
    api.records = [record(number) for number in range(999, -1, -1)]
    found = [event.sid for event in client.iter_events(started_from=at(950))]
    assert len(found) == 50
    before = len(api.asked)
    assert len(list(client.iter_events(started_from=at(950)))) == 50
    assert len(api.asked) == before + 1


def stored(
    *starts: float, order: Callable[[list[StoredEvent]], list[StoredEvent]] = list
) -> list[StoredEvent]:
    return order([StoredEvent.model_validate(record(int(minute))) for minute in starts])


@pytest.mark.parametrize(
    ("starts", "position"),
    [
        ((), Position.PAST),
        ((99, 80, 60), Position.NEWER),
        ((99, 80, 41), Position.AROUND),
        ((41, 30, 20), Position.PAST),
        ((20, 30, 99), Position.AROUND),
    ],
)
def test_the_order_of_a_page_says_where_it_is(starts: tuple[float, ...], position: Position) -> None:
    assert EventFilter(started_from=at(40), started_to=at(42)).position_of(stored(*starts)) is position


def test_the_order_of_creation_says_when_a_list_is_past_the_period() -> None:
    created = [
        StoredEvent.model_validate(record(minute, createdAt=format_timestamp(at(moment))))
        for minute, moment in ((5, -30), (9, -50), (2, -90))
    ]
    assert EventFilter(started_from=at(40)).position_of(created) is Position.PAST
    assert EventFilter(started_from=at(-40)).position_of(created) is Position.AROUND


def test_an_incident_that_lasted_into_the_period_is_no_sign_of_an_ignored_filter(
    client: EventsClient,
) -> None:
    wanted = EventFilter(started_from=at(40), started_to=at(42))
    before = StoredEvent.model_validate(record(1, type="incident", endedAt=format_timestamp(at(41))))
    assert not client.filters.learn(wanted, [before])
    assert client.filters.in_use("start") == SPELLINGS["start"][0]
    assert not wanted.includes(before)
