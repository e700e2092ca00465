"""Each episode of an alert becomes one event in the API, with a real Redis and a real Events API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ServerFailed, Unreachable
from apitraffic_events.event import EventType
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.datastore.keys import ALERTS_TO_CHECK
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.queue.queues import URGENT, change_in, delivery_queue
from receiver.worker.due_markers import alert_checks
from tests.support.alerts import change_of_case, firing, moment, resolved
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use, running_redis

REPORTS = (
    firing("10:00", "09:59"),
    firing("10:05", "09:59"),
    resolved("10:10", "09:59", "10:08"),
    firing("10:20", "10:19"),
)


class Clock:
    def __init__(self) -> None:
        self.now = moment("10:30")

    def __call__(self) -> datetime:
        return self.now


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
        _start_anew(client, redis)
        yield client
    api.set_faults([])


def _start_anew(client: EventsClient, redis: Redis) -> None:
    redis.flushdb()
    long_in_use(redis)
    for event in tuple(client.iter_events()):
        client.delete_event(event.sid)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis, clock: Clock) -> Deliverer:
    markers = MarkerStore(redis, "the worker under test")
    return Deliverer(client, markers, RequestBudget(redis), settle=timedelta(seconds=30), clock=clock)


def spans(client: EventsClient) -> list[tuple[datetime | None, datetime | None]]:
    events = sorted(client.iter_events(), key=lambda event: str(event.started_at))
    return [(event.started_at, event.ended_at) for event in events]


def test_two_episodes_are_two_events_in_whatever_order_their_reports_come(
    deliverer: Deliverer, client: EventsClient, redis: Redis
) -> None:
    for order in [*permutations(REPORTS)][::5]:
        _start_anew(client, redis)
        for report in (*order, *order):
            deliverer.deliver(report)
        assert spans(client) == [(moment("09:59"), moment("10:08")), (moment("10:19"), None)]


def test_a_repeat_asks_the_api_for_nothing(deliverer: Deliverer, client: EventsClient) -> None:
    assert deliverer.deliver(REPORTS[0]) is Delivered.CREATED
    assert deliverer.deliver(REPORTS[1]) is Delivered.UNCHANGED
    (event,) = client.iter_events()
    assert event.type == EventType.INCIDENT
    assert event.metadata["marker_key"] == f"{REPORTS[0].key}@20260110T095900000Z"
    assert event.metadata["status"] == "firing"


def test_what_two_alertmanagers_said_of_one_alert_is_one_event(
    deliverer: Deliverer, client: EventsClient
) -> None:
    first = change_of_case("firing__ha_first_start", datetime(2026, 11, 28, 17, 32, 40, tzinfo=UTC))
    other = change_of_case("resolved__ha_earlier_start", datetime(2026, 11, 28, 17, 32, 58, tzinfo=UTC))
    assert deliverer.deliver(first) is Delivered.CREATED
    assert deliverer.deliver(other) is Delivered.UPDATED
    (event,) = client.iter_events()
    assert event.started_at == datetime(2026, 11, 28, 17, 32, 13, 261_000, tzinfo=UTC)
    assert event.ended_at == datetime(2026, 11, 28, 17, 32, 52, 269_000, tzinfo=UTC)
    assert event.description == "Resolved after 39 s."


def test_the_same_alert_after_redis_lost_its_data_is_no_second_event(
    deliverer: Deliverer, client: EventsClient, redis: Redis
) -> None:
    deliverer.deliver(REPORTS[0])
    redis.flushdb()
    assert deliverer.deliver(REPORTS[1]) is Delivered.FOUND
    assert len([*client.iter_events()]) == 1


def test_an_alert_without_news_is_ended_by_a_worker_and_goes_on_if_it_fires_after_all(
    deliverer: Deliverer, client: EventsClient, redis: Redis, clock: Clock
) -> None:
    checks, queue = alert_checks(redis), delivery_queue(redis, URGENT)
    deliverer.deliver(REPORTS[0])
    due_at = redis.zscore(ALERTS_TO_CHECK, REPORTS[0].key)
    assert due_at == moment("22:00").timestamp() < now().timestamp()
    assert [checks.enqueue_due(), checks.enqueue_due()] == [1, 0]
    (job,) = queue.jobs
    clock.now = moment("22:00")
    assert deliverer.deliver(change_in(job.data)) is Delivered.UPDATED
    assert spans(client) == [(moment("09:59"), moment("10:00"))]
    (event,) = client.iter_events()
    assert event.metadata["status"] == "lapsed"
    assert redis.zcard(ALERTS_TO_CHECK) == 0
    clock.now = moment("22:30")
    assert deliverer.deliver(firing("22:30", "09:59")) is Delivered.UPDATED
    (event,) = client.iter_events()
    assert (event.ended_at, event.description) == (None, None)
    assert redis.zcard(ALERTS_TO_CHECK) == 1


def test_an_alert_that_is_over_is_not_looked_at_again(deliverer: Deliverer, redis: Redis) -> None:
    deliverer.deliver(REPORTS[0])
    deliverer.deliver(REPORTS[2])
    assert redis.zcard(ALERTS_TO_CHECK) == 0


def test_a_report_of_which_the_end_is_due_already_when_it_is_delivered_is_ended_at_once(
    deliverer: Deliverer, client: EventsClient, redis: Redis, clock: Clock
) -> None:
    clock.now = moment("+1 00:00")
    deliverer.deliver(REPORTS[0])
    assert spans(client) == [(moment("09:59"), moment("10:00"))]
    assert redis.zcard(ALERTS_TO_CHECK) == 0


def test_a_lost_answer_makes_no_second_event_although_another_report_comes_first(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    first, of_the_other = firing("10:00", "09:59"), firing("10:00:15", "09:58")
    api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(first)
    deliverer.deliver(of_the_other)
    deliverer.deliver(first)
    assert spans(client) == [(moment("09:58"), None)]


def test_a_report_that_splits_an_episode_is_finished_after_a_failure_in_between(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    fires, ends, fires_again = REPORTS[0], REPORTS[2], REPORTS[3]
    deliverer.deliver(fires)
    deliverer.deliver(fires_again)
    assert spans(client) == [(moment("09:59"), None)]
    api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(ends)
    deliverer.deliver(ends)
    assert spans(client) == [(moment("09:59"), moment("10:08")), (moment("10:19"), None)]


@pytest.mark.parametrize("fault", ["DELETE:dropx1", "DELETE:status=503x1"])
def test_an_episode_that_seemed_to_be_part_of_another_is_shown_though_its_deletion_had_no_answer(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, fault: str
) -> None:
    """That it goes on makes one of two, and that it ended soon after two again."""
    goes_on, ends_again = firing("10:12", "09:59"), resolved("10:15", "09:59", "10:14")
    for report in (REPORTS[0], REPORTS[2], REPORTS[3]):
        deliverer.deliver(report)
    assert len(spans(client)) == 2
    api.set_faults([fault])
    with pytest.raises((ServerFailed, Unreachable)):
        deliverer.deliver(goes_on)
    deliverer.deliver(ends_again)
    assert spans(client) == [(moment("09:59"), moment("10:08")), (moment("10:19"), None)]
    deliverer.deliver(goes_on)
    assert spans(client) == [(moment("09:59"), moment("10:14")), (moment("10:19"), None)]
