"""What the console knows of the account's events, on a real Events API."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apitraffic_events import Event, EventsClient, EventType, EventUpdate
from receiver.console.known_events import QUICKEST, SLOWEST, KnownEvents
from tests.support.local_api import LocalApi, running_local_api

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    folder: Path = tmp_path_factory.mktemp("api")
    with running_local_api(folder) as api:
        yield api


@pytest.fixture
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(account_sid=api.account_sid, token=api.token, api_url=api.url) as client:
        yield client
        for event in list(client.iter_events()):
            client.delete_event(event.sid)


def connector(api: LocalApi) -> Callable[[], EventsClient]:
    return lambda: EventsClient(account_sid=api.account_sid, token=api.token, api_url=api.url)


def deploy(minutes_ago: float, name: str = "Deploy") -> Event:
    return Event(type=EventType.DEPLOYMENT, name=name, started_at=NOON - timedelta(minutes=minutes_ago))


def names(known: KnownEvents, hours: float = 6) -> list[str]:
    return [marker.name for marker in known.since(NOON - timedelta(hours=hours)).markers]


def test_what_is_new_changed_or_deleted_is_seen_at_the_next_look(api: LocalApi, client: EventsClient) -> None:
    clock = Clock()
    known = KnownEvents(connector(api), clock)
    first = client.create_event(deploy(50, "first"))
    assert names(known) == ["first"]
    version = known.since(NOON).version
    client.create_event(deploy(10, "second"))
    assert names(known) == ["first"], "nobody asks again so soon"
    clock.now += QUICKEST
    assert names(known) == ["second", "first"]
    assert known.since(NOON).version > version
    client.delete_event(first.sid)
    clock.now += QUICKEST
    assert names(known) == ["second"]


def test_a_look_without_news_changes_no_version(api: LocalApi, client: EventsClient) -> None:
    clock = Clock()
    known = KnownEvents(connector(api), clock)
    client.create_event(deploy(50))
    version = known.since(NOON).version
    clock.now += QUICKEST
    assert known.since(NOON).version == version


def test_more_than_a_page_is_read_once_and_an_earlier_period_later(
    api: LocalApi, client: EventsClient
) -> None:
    clock = Clock()
    known = KnownEvents(connector(api), clock)
    for number in range(120):
        client.create_event(deploy(number / 10, f"number {number}"))
    old = client.create_event(deploy(5 * 24 * 60, "old"))
    assert len(names(known)) == 120
    requests_before = api.requests()["GET"]["200"]
    clock.now += QUICKEST
    assert len(names(known)) == 120
    assert api.requests()["GET"]["200"] - requests_before == 1
    assert old.name in names(known, hours=6 * 24)


def test_an_incident_that_began_long_ago_and_goes_on_is_known_and_so_is_its_end(
    api: LocalApi, client: EventsClient
) -> None:
    clock = Clock()
    known = KnownEvents(connector(api), clock)
    began = NOON - timedelta(days=20)
    incident = client.create_event(Event(type=EventType.INCIDENT, name="long", started_at=began))
    client.create_event(deploy(1))
    assert names(known) == ["Deploy", "long"]
    client.update_event(incident.sid, EventUpdate(ended_at=NOON))
    clock.now += QUICKEST
    assert not [marker for marker in known.since(NOON).markers if marker.is_open]


def test_what_is_known_stays_while_the_api_is_away(api: LocalApi, client: EventsClient) -> None:
    clock = Clock()
    known = KnownEvents(connector(api), clock)
    client.create_event(deploy(5, "kept"))
    assert names(known) == ["kept"]
    api.set_faults(["status=500x1"])
    clock.now += QUICKEST
    away = known.since(NOON)
    assert away.problem is not None
    assert "answered 500" in away.problem
    assert [marker.name for marker in away.markers] == ["kept"]
    clock.now += QUICKEST
    assert known.since(NOON).problem is None


def test_a_small_budget_is_spared(tmp_path: Path) -> None:
    with running_local_api(tmp_path, "--quota", "1000") as api:
        clock = Clock()
        known = KnownEvents(connector(api), clock)
        known.since(NOON)
        assert timedelta(seconds=30) < known.interval() <= SLOWEST
