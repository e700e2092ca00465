"""An incident's deliveries become one event in the API, in whatever order they come, with a real Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_store import MarkerStore
from tests.support.local_api import LocalApi, running_local_api
from tests.support.pagerduty import change_of_case
from tests.support.redis import running_redis

TRIGGER = "incident.triggered__by_monitoring"
ACKNOWLEDGEMENT = "incident.acknowledged__by_ada"
RESOLUTION = "incident.resolved__by_ada"
NOTE = "incident.annotated__resolution"
CREATED = datetime(2026, 1, 10, 10, tzinfo=UTC)
RESOLVED = datetime(2026, 1, 10, 10, 42, 17, 905_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with running_redis(folder) as url:
        yield connect(url)


@pytest.fixture
def client(api: LocalApi, redis: Redis) -> Iterator[EventsClient]:
    with EventsClient(
        api_url=api.url, account_sid=api.account_sid, token=api.token, read_timeout=5
    ) as client:
        _forget_everything(client, redis)
        yield client


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis) -> Deliverer:
    markers = MarkerStore(redis, "the worker under test")
    return Deliverer(client, markers, RequestBudget(redis), settle=timedelta(seconds=30))


def _forget_everything(client: EventsClient, redis: Redis) -> None:
    redis.flushdb()
    for event in tuple(client.iter_events()):
        client.delete_event(event.sid)


def assert_closed_as_it_should_be(event: StoredEvent) -> None:
    assert event.type == EventType.INCIDENT
    assert event.name == "#1842 Checkout latency above 2 s (P1)"
    assert event.source == "pagerduty"
    assert (event.started_at, event.ended_at) == (CREATED, RESOLVED)
    assert event.description == (
        "Resolved by Ada Example after 42 min 18 s.\n10:42 UTC Resolution by Ada Example: rolled back"
    )
    assert event.metadata["marker_key"] == "pagerduty:Q1EXAMPLE00001"
    assert event.metadata["status"] == "resolved"


def test_a_resolution_that_comes_first_ends_as_one_closed_event(
    deliverer: Deliverer, client: EventsClient
) -> None:
    assert deliverer.deliver(change_of_case(RESOLUTION)) is Delivered.CREATED
    for case in (NOTE, TRIGGER, ACKNOWLEDGEMENT):
        deliverer.deliver(change_of_case(case))
    (event,) = client.iter_events()
    assert_closed_as_it_should_be(event)


def test_every_order_ends_as_the_same_one_event(
    deliverer: Deliverer, client: EventsClient, redis: Redis
) -> None:
    for order in permutations([TRIGGER, ACKNOWLEDGEMENT, RESOLUTION, NOTE]):
        _forget_everything(client, redis)
        for case in order:
            deliverer.deliver(change_of_case(case))
        (event,) = client.iter_events()
        assert_closed_as_it_should_be(event)


def test_a_note_alone_makes_no_event(deliverer: Deliverer, client: EventsClient) -> None:
    assert deliverer.deliver(change_of_case(NOTE)) is Delivered.AWAITING_OPENING
    assert not list(client.iter_events())


def test_reopening_and_resolving_again_is_the_same_event(deliverer: Deliverer, client: EventsClient) -> None:
    for case in (TRIGGER, RESOLUTION, "incident.reopened__by_ada"):
        deliverer.deliver(change_of_case(case))
    (reopened,) = client.iter_events()
    assert reopened.ended_at is None
    deliverer.deliver(change_of_case("incident.resolved__after_reopening"))
    (again,) = client.iter_events()
    assert again.sid == reopened.sid
    assert again.ended_at == datetime(2026, 1, 10, 12, 5, tzinfo=UTC)


def test_what_the_options_leave_out_makes_no_event_and_still_ends_one(
    deliverer: Deliverer, client: EventsClient
) -> None:
    moved_away = change_of_case(RESOLUTION, services=("payments",))
    assert deliverer.deliver(moved_away) is Delivered.AWAITING_OPENING
    assert not list(client.iter_events())
    deliverer.deliver(change_of_case(TRIGGER))
    (event,) = client.iter_events()
    assert event.ended_at == RESOLVED
