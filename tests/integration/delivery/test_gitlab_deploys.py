"""Deployment and Job hooks of one GitLab deploy, through Redis to the API: one event; none if rejected."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, NotFound, Unreachable
from apitraffic_events.event import Event, EventType
from receiver.datastore.address import connect
from receiver.datastore.keys import REMEMBERS_SINCE
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.doubt import Unsettled
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change
from receiver.sources.gitlab import GITLAB
from receiver.sources.source import translate
from tests.support.gitlab import delivery_of, options_of
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import running_redis
from tests.support.source_fixtures import body_of

MODES: Final = ("point", "span")
ENDS: Final = ("success", "failed", "canceled")
NAMES: Final = {"success": "Deploy", "failed": "Failed deploy", "canceled": "Cancelled deploy"}
REJECTED: Final = "deployment__production_rejected"
FAILED: Final = "deployment__production_failed"
NEVER_BEGAN: Final = "build__failed_before_it_ran"
JOB: Final = "gitlab:gitlab.example.test:job:796"


def at(hour: int, minute: int) -> datetime:
    return datetime(2026, 1, 10, hour, minute, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield connect(url)


@pytest.fixture(scope="module")
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        yield client


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis) -> Deliverer:
    return Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta(seconds=30))


@pytest.fixture(autouse=True)
def clear(client: EventsClient, redis: Redis) -> None:
    empty(client, redis)


def empty(client: EventsClient, redis: Redis) -> None:
    redis.flushdb()
    for event in tuple(client.iter_events()):
        client.delete_event(event.sid)


def read(case: str, mode: str, **values: Any) -> Change:
    payload = json.loads(body_of("gitlab", case)) | values
    delivery = delivery_of(case.partition("__")[0], json.dumps(payload).encode(), case)
    (change,) = translate(GITLAB, delivery, options_of(case, mode)).changes
    return change


def hooks(end: str, mode: str) -> list[Change]:
    """All that GitLab sends of a deploy if Deployment and Job events are both on."""
    states = ("running", end) if mode == "span" else (end,)
    cases = [f"{prefix}_{state}" for state in states for prefix in ("deployment__production", "build_")]
    if mode == "point" and end == "canceled":
        cases.remove("deployment__production_canceled")
    return [read(case, mode) for case in cases]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ENDS)
def test_one_deploy_is_one_event_whatever_arrives_first(
    deliverer: Deliverer, client: EventsClient, redis: Redis, end: str, mode: str
) -> None:
    reports = hooks(end, mode)
    for order in permutations(reports):
        empty(client, redis)
        for report in order:
            deliverer.deliver(report)
        (event,) = client.iter_events()
        assert event.name == f"{NAMES[end]} acme/shop main@279484c to production"
        expected = (at(10, 0), at(10, 5)) if mode == "span" else (at(10, 5), None)
        assert (event.started_at, event.ended_at) == expected
        for report in order:
            assert deliverer.deliver(report) is Delivered.UNCHANGED


def test_a_span_of_hours_that_redis_has_forgotten_meanwhile_is_ended(
    deliverer: Deliverer, client: EventsClient, redis: Redis
) -> None:
    deliverer.deliver(read("deployment__production_running", "span"))
    redis.flushdb()
    redis.set(REMEMBERS_SINCE, at(11, 0).timestamp())
    ended = read("deployment__production_success", "span", status_changed_at="2026-01-10 13:00:00 +0000")
    deliverer.deliver(ended)
    (event,) = client.iter_events()
    assert (event.started_at, event.ended_at) == (at(10, 0), at(13, 0))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_span_whose_openings_were_lost_begins_with_its_job(
    deliverer: Deliverer, client: EventsClient, end: str, order: int
) -> None:
    for report in hooks(end, "span")[2:][::order]:
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert (event.started_at, event.ended_at) == (at(10, 0), at(10, 5))


@pytest.mark.parametrize("mode", MODES)
def test_the_failure_that_gitlab_reports_goes_over_the_success_that_a_plugin_told_the_api(
    deliverer: Deliverer, client: EventsClient, mode: str
) -> None:
    client.create_event(
        Event(
            type=EventType.DEPLOYMENT,
            name="Deploy by a plugin",
            started_at=at(10, 0),
            ended_at=at(10, 4),
            metadata={"marker_key": JOB, "status": "success"},
        )
    )
    deliverer.deliver(read(FAILED, mode))
    (event,) = client.iter_events()
    assert event.name == "Failed deploy acme/shop main@279484c to production"
    assert (event.started_at, event.ended_at) == (at(10, 0), at(10, 5))


@pytest.mark.parametrize("mode", MODES)
class TestARejectedDeploy:
    @pytest.mark.parametrize(
        "cases", [(REJECTED, FAILED), (REJECTED, FAILED, NEVER_BEGAN), (NEVER_BEGAN, FAILED)]
    )
    def test_is_no_event_whatever_arrives_first(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, cases: tuple[str, ...], mode: str
    ) -> None:
        for order in permutations([read(case, mode) for case in cases]):
            empty(client, redis)
            for report in order:
                deliverer.deliver(report)
            assert list(client.iter_events()) == []
            for report in order:
                assert deliverer.deliver(report) is Delivered.CALLED_OFF

    def test_is_remembered_before_its_failure_and_deleted_after_it(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, mode: str
    ) -> None:
        rejected, failed = read(REJECTED, mode), read(FAILED, mode)
        assert deliverer.deliver(rejected) is Delivered.CALLED_OFF
        assert deliverer.deliver(failed) is Delivered.CALLED_OFF
        empty(client, redis)
        assert deliverer.deliver(failed) is Delivered.CREATED
        assert deliverer.deliver(rejected) is Delivered.WITHDRAWN

    def test_that_somebody_deleted_already_is_no_error(
        self, deliverer: Deliverer, client: EventsClient, mode: str
    ) -> None:
        deliverer.deliver(read(FAILED, mode))
        (event,) = client.iter_events()
        client.delete_event(event.sid)
        assert deliverer.deliver(read(REJECTED, mode)) is Delivered.WITHDRAWN

    def test_is_deleted_later_if_the_api_does_not_answer(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, mode: str
    ) -> None:
        deliverer.deliver(read(FAILED, mode))
        for fault in ("DELETE:status=503x1", "DELETE:dropx1"):
            api.set_faults([fault])
            with pytest.raises(EventsApiError):
                deliverer.deliver(read(REJECTED, mode))
        assert deliverer.deliver(read(REJECTED, mode)) is Delivered.WITHDRAWN
        assert list(client.iter_events()) == []

    def test_is_found_if_the_answer_to_its_failure_was_lost(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, mode: str
    ) -> None:
        api.set_faults(["POST:dropx1"])
        with pytest.raises(Unreachable):
            deliverer.deliver(read(FAILED, mode))
        assert deliverer.deliver(read(REJECTED, mode)) is Delivered.WITHDRAWN
        assert list(client.iter_events()) == []

    def test_is_waited_for_while_the_api_may_still_create_it(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, mode: str
    ) -> None:
        api.set_faults(["POST:dropx1"])
        with pytest.raises(Unreachable):
            deliverer.deliver(read(FAILED, mode))
        for event in tuple(client.iter_events()):
            client.delete_event(event.sid)
        with pytest.raises(Unsettled):
            deliverer.deliver(read(REJECTED, mode))

    def test_is_found_by_its_key_if_redis_has_forgotten_it(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, mode: str
    ) -> None:
        deliverer.deliver(read(FAILED, mode))
        redis.flushdb()
        assert deliverer.deliver(read(REJECTED, mode)) is Delivered.WITHDRAWN
        assert list(client.iter_events()) == []

    def test_does_not_hide_that_the_account_is_unknown(
        self, client: EventsClient, api: LocalApi, redis: Redis, deliverer: Deliverer, mode: str
    ) -> None:
        deliverer.deliver(read(FAILED, mode))
        with EventsClient(api_url=api.url, account_sid="acc_other", token=api.token) as elsewhere:
            other = Deliverer(
                elsewhere, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta(seconds=30)
            )
            with pytest.raises(NotFound):
                other.deliver(read(REJECTED, mode))
        assert len(list(client.iter_events())) == 1

    def test_ends_a_span_that_is_open(self, deliverer: Deliverer, client: EventsClient, mode: str) -> None:
        deliverer.deliver(read("deployment__production_running", "span"))
        for case in (REJECTED, FAILED):
            deliverer.deliver(read(case, mode))
        (event,) = client.iter_events()
        assert event.name == "Rejected deploy acme/shop main@279484c to production"
        assert event.ended_at is not None
