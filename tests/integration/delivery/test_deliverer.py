"""A change becomes exactly what the API should show, with a real Redis and a real Events API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import responses
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, Rejected, ServerFailed, Unauthorised, Unreachable
from apitraffic_events.event import Event, EventType
from receiver.datastore.address import connect
from receiver.datastore.keys import LOCK_PREFIX
from receiver.delivery.budget import PAUSE, RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.doubt import Unsettled
from receiver.delivery.marker_lock import MarkerBusy
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change, DeliveryReference, Effect
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use, running_redis
from tests.support.waiting import wait_until

START = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
KEY = "github:acme/shop:deployment:4242"
SETTLE = timedelta(seconds=30)


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
    redis.flushdb()
    with EventsClient(
        api_url=api.url, account_sid=api.account_sid, token=api.token, read_timeout=5
    ) as client:
        for event in tuple(client.iter_events()):
            client.delete_event(event.sid)
        yield client
    api.set_faults([])


class Clock:
    """The worker's; goes on when told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, passed: timedelta) -> None:
        self.now += passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis, clock: Clock) -> Deliverer:
    return Deliverer(
        client, MarkerStore(redis, "the worker under test"), RequestBudget(redis), settle=SETTLE, clock=clock
    )


def change(effect: Effect, minute: int = 0, delivery: str | None = None, **fields: Any) -> Change:
    at = START + timedelta(minutes=minute)
    ended_at = at if effect is Effect.CLOSE else None
    event = {
        "type": EventType.DEPLOYMENT,
        "name": f"Deploy acme/shop, {effect.value}",
        "metadata": {"marker_key": KEY, effect.value: "seen"},
        "started_at": START if effect is Effect.CLOSE else at,
        "ended_at": ended_at,
    } | fields
    reference = DeliveryReference(
        source="github", id=delivery or f"{effect.value}-{minute}", event="deployment_status"
    )
    return Change(
        key=KEY, effect=effect, occurred_at=at, event=Event.model_validate(event), delivery=reference
    )


def until_settled(deliverer: Deliverer, wanted: Change, clock: Clock) -> Delivered:
    """Deliver as the queue does, waiting as long as it is told to."""
    for _ in range(10):
        try:
            return deliverer.deliver(wanted)
        except Unsettled as unsettled:
            clock.pass_by(timedelta(seconds=unsettled.wait))
    raise AssertionError("it never gets certain")


def test_a_point_is_created_once(deliverer: Deliverer, client: EventsClient) -> None:
    point = change(Effect.POINT)
    assert deliverer.deliver(point) is Delivered.CREATED
    assert deliverer.deliver(point) is Delivered.UNCHANGED
    (event,) = client.iter_events()
    assert event.as_event() == point.event


def test_a_close_ends_what_was_opened(deliverer: Deliverer, client: EventsClient) -> None:
    assert deliverer.deliver(change(Effect.OPEN, 1)) is Delivered.CREATED
    (opened,) = client.iter_events()
    assert opened.ended_at is None
    assert deliverer.deliver(change(Effect.CLOSE, 6)) is Delivered.UPDATED
    (closed,) = client.iter_events()
    assert closed.sid == opened.sid
    assert closed.started_at == START + timedelta(minutes=1)
    assert closed.ended_at == START + timedelta(minutes=6)
    assert closed.name == "Deploy acme/shop, close"
    assert closed.metadata == {"marker_key": KEY, "open": "seen", "close": "seen"}


def test_a_close_before_its_open_makes_the_same_event(deliverer: Deliverer, client: EventsClient) -> None:
    assert deliverer.deliver(change(Effect.CLOSE, 6)) is Delivered.CREATED
    assert deliverer.deliver(change(Effect.OPEN, 1)) is Delivered.UPDATED
    (event,) = client.iter_events()
    assert event.started_at == START + timedelta(minutes=1)
    assert event.ended_at == START + timedelta(minutes=6)
    assert event.name == "Deploy acme/shop, close"


def test_a_second_end_does_not_move_the_first(deliverer: Deliverer, client: EventsClient) -> None:
    for effect, minute in ((Effect.OPEN, 0), (Effect.CLOSE, 5), (Effect.CLOSE, 9)):
        deliverer.deliver(change(effect, minute))
    (event,) = client.iter_events()
    assert event.ended_at == START + timedelta(minutes=5)


def test_reopening_clears_the_end(deliverer: Deliverer, client: EventsClient) -> None:
    for effect, minute in ((Effect.OPEN, 0), (Effect.CLOSE, 5), (Effect.REOPEN, 7)):
        deliverer.deliver(change(effect, minute))
    (event,) = client.iter_events()
    assert event.ended_at is None
    assert event.started_at == START


def test_an_update_of_some_fields_waits_for_its_opening(deliverer: Deliverer, client: EventsClient) -> None:
    part = change(Effect.UPDATE, 3).model_copy(update={"sets": ("metadata",)})
    assert deliverer.deliver(part) is Delivered.AWAITING_OPENING
    assert not list(client.iter_events())
    assert deliverer.deliver(change(Effect.OPEN, 1)) is Delivered.CREATED
    (event,) = client.iter_events()
    assert event.metadata == {"marker_key": KEY, "open": "seen", "update": "seen"}


def test_after_a_lost_answer_the_event_is_found_and_not_made_again(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    api.set_faults(["POST:dropx1"])
    point = change(Effect.POINT)
    with pytest.raises(Unreachable):
        deliverer.deliver(point)
    assert deliverer.deliver(point) is Delivered.FOUND
    (event,) = client.iter_events()
    assert event.as_event() == point.event


def test_what_was_lost_and_then_closed_is_one_event(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(change(Effect.OPEN, 1))
    deliverer.deliver(change(Effect.CLOSE, 6))
    (event,) = client.iter_events()
    assert event.started_at == START + timedelta(minutes=1)
    assert event.ended_at == START + timedelta(minutes=6)


def test_what_was_lost_and_is_found_again_says_nothing_new(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    """An end without a start is shown as a moment. The start is named after the event was found."""
    api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(change(Effect.CLOSE, 5, "without a start", started_at=None))
    knowing = change(Effect.CLOSE, 5, "with a start", started_at=START + timedelta(minutes=1))
    assert deliverer.deliver(knowing) is Delivered.FOUND
    (event,) = client.iter_events()
    assert event.started_at == START + timedelta(minutes=1)
    assert event.ended_at == START + timedelta(minutes=5)


def test_an_indirect_report_of_which_the_answer_was_lost_still_gives_way_to_a_direct_one(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    """What it has written into the event is not taken for what somebody else has written there."""
    deliverer.deliver(change(Effect.OPEN, metadata={"marker_key": KEY, "status": "in_progress"}))
    build = change(Effect.CLOSE, 5, "the build").model_copy(update={"is_indirect": True})
    api.set_faults(["PATCH:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(build)
    until_settled(deliverer, build, clock)
    deliverer.deliver(change(Effect.CLOSE, 6, "the deploy", name="Deploy by the pipeline"))
    (event,) = client.iter_events()
    assert (event.name, event.ended_at) == ("Deploy by the pipeline", START + timedelta(minutes=6))


def test_what_is_reopened_is_shown_again_if_the_answer_to_its_deletion_was_lost(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    """That it is gone does not mean that a person has deleted it."""
    deliverer.deliver(change(Effect.CLOSE, 5, started_at=None))
    api.set_faults(["DELETE:dropx1"])
    off = change(Effect.UPDATE, 4, ended_at=START + timedelta(minutes=4))
    with pytest.raises(Unreachable):
        deliverer.deliver(off.model_copy(update={"is_final": True, "sets": ("ended_at",)}))
    assert not list(client.iter_events())
    assert deliverer.deliver(change(Effect.REOPEN, 6)) is Delivered.CREATED
    (event,) = client.iter_events()
    assert event.ended_at is None


def test_what_is_reopened_stays_though_its_deletion_is_carried_out_late(
    deliverer: Deliverer, client: EventsClient, api: LocalApi
) -> None:
    """The event that is deleted late is not the one that is shown."""
    deliverer.deliver(change(Effect.CLOSE, 5, started_at=None))
    (called_off,) = client.iter_events()
    api.set_faults(["DELETE:late=0.5x1"])
    off = change(Effect.UPDATE, 4, ended_at=START + timedelta(minutes=4))
    off = off.model_copy(update={"is_final": True, "sets": ("ended_at",)})
    with pytest.raises(ServerFailed):
        deliverer.deliver(off)
    deliverer.deliver(change(Effect.REOPEN, 6))
    wait_until(
        lambda: called_off.sid not in {event.sid for event in client.iter_events()}, "the event is deleted"
    )
    deliverer.deliver(off)
    (event,) = client.iter_events()
    assert event.ended_at is None


def test_an_attempt_that_never_arrived_is_made_again(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    api.set_faults(["POST:refusex1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(change(Effect.POINT))
    assert until_settled(deliverer, change(Effect.POINT), clock) is Delivered.CREATED
    assert len(list(client.iter_events())) == 1


def test_an_attempt_that_is_carried_out_late_makes_the_only_event(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, redis: Redis, clock: Clock
) -> None:
    """The worker gives up waiting, looks and finds nothing; then the API carries the request out."""
    api.set_faults(["POST:latency=2x1"])
    impatient = EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token, read_timeout=0.2)
    other = Deliverer(
        impatient, MarkerStore(redis, "another worker"), RequestBudget(redis), settle=SETTLE, clock=clock
    )
    with impatient, pytest.raises(Unreachable):
        other.deliver(change(Effect.POINT))
    with pytest.raises(Unsettled):
        deliverer.deliver(change(Effect.POINT))
    assert not list(client.iter_events())
    wait_until(lambda: list(client.iter_events()), "the late request is carried out")
    clock.pass_by(SETTLE)
    assert deliverer.deliver(change(Effect.POINT)) is Delivered.FOUND
    assert len(list(client.iter_events())) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_no_failure_proves_that_nothing_was_done(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock, status: int
) -> None:
    api.set_faults([f"POST:status={status}x1"])
    with pytest.raises(ServerFailed):
        deliverer.deliver(change(Effect.POINT))
    assert until_settled(deliverer, change(Effect.POINT), clock) is Delivered.CREATED
    assert len(list(client.iter_events())) == 1


def test_an_update_that_comes_late_undoes_no_newer_one(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    deliverer.deliver(change(Effect.OPEN, 0))
    api.set_faults(["PATCH:status=504x1"])
    with pytest.raises(ServerFailed):
        deliverer.deliver(change(Effect.CLOSE, 5))
    with pytest.raises(Unsettled):
        deliverer.deliver(change(Effect.REOPEN, 7))
    clock.pass_by(SETTLE)
    assert deliverer.deliver(change(Effect.REOPEN, 7)) is Delivered.UPDATED
    (event,) = client.iter_events()
    assert event.ended_at is None


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_what_a_person_must_mend_stops_the_line(redis: Redis, status: int) -> None:
    """302 is what a wrong address gets: the local API cannot redirect, so this answer is made up."""
    redis.flushdb()
    long_in_use(redis)
    client = EventsClient(api_url="https://wrong.example/v1", account_sid="acc_1", token="some-token")
    deliverer = Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=SETTLE)
    with responses.RequestsMock() as mock:
        address = "https://wrong.example/v1/accounts/acc_1/events"
        mock.post(address, status=status, headers={"Location": "https://elsewhere.example/"})
        if status == HTTPStatus.FORBIDDEN:
            # Asked whether that is about this event only.
            mock.get(address, status=status)
        with pytest.raises(EventsApiError):
            deliverer.deliver(change(Effect.POINT))
        assert redis.exists(PAUSE)
        mock.replace("POST", address, status=422, json={"error": {"code": "VALIDATION_ERROR"}})
        redis.delete(PAUSE)
        with pytest.raises(Rejected):
            deliverer.deliver(change(Effect.POINT))
        assert not redis.exists(PAUSE)


def test_a_refused_attempt_needs_no_look_up(deliverer: Deliverer, api: LocalApi, redis: Redis) -> None:
    long_in_use(redis)
    api.set_faults(["POST:status=401x1"])
    before = api.requests().get("GET", {}).get("200", 0)
    with pytest.raises(Unauthorised):
        deliverer.deliver(change(Effect.POINT))
    assert deliverer.deliver(change(Effect.POINT)) is Delivered.CREATED
    assert api.requests().get("GET", {}).get("200", 0) == before


def test_when_redis_forgot_the_marker_closing_still_finds_it(
    deliverer: Deliverer, client: EventsClient, redis: Redis
) -> None:
    deliverer.deliver(change(Effect.OPEN, 1))
    redis.flushdb()
    assert deliverer.deliver(change(Effect.CLOSE, 6)) is Delivered.FOUND
    (event,) = client.iter_events()
    assert event.started_at == START + timedelta(minutes=1)
    assert event.ended_at == START + timedelta(minutes=6)


def test_a_failing_api_raises_and_leaves_nothing_half_done(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    api.set_faults(["POST:status=500x2"])
    for _ in range(2):
        with pytest.raises(ServerFailed):
            until_settled(deliverer, change(Effect.POINT), clock)
    until_settled(deliverer, change(Effect.POINT), clock)
    assert len(list(client.iter_events())) == 1


def test_an_event_that_somebody_deleted_is_left_deleted(deliverer: Deliverer, client: EventsClient) -> None:
    deliverer.deliver(change(Effect.OPEN))
    (event,) = client.iter_events()
    client.delete_event(event.sid)
    assert deliverer.deliver(change(Effect.CLOSE, 5)) is Delivered.DELETED
    assert not list(client.iter_events())


def test_names_of_buckets_and_environments_become_sids(deliverer: Deliverer, client: EventsClient) -> None:
    (bucket, *_), (environment, *_) = client.list_buckets(), client.list_environments()
    deliverer.deliver(change(Effect.POINT, buckets=(bucket.name,), environments=(environment.sid,)))
    (event,) = client.iter_events()
    assert event.buckets == (bucket.sid,)
    assert event.environments == (environment.sid,)


def test_an_unknown_name_does_not_lose_the_marker(deliverer: Deliverer, client: EventsClient) -> None:
    deliverer.deliver(change(Effect.POINT, buckets=("No such bucket",)))
    (event,) = client.iter_events()
    assert event.buckets == ("*",)


def test_what_the_api_refuses_carries_its_words(deliverer: Deliverer, api: LocalApi) -> None:
    api.set_faults(["POST:status=422x1"])
    with pytest.raises(Rejected, match="VALIDATION_ERROR") as caught:
        deliverer.deliver(change(Effect.POINT))
    assert caught.value.status == 422


def test_two_workers_take_turns_at_a_marker(deliverer: Deliverer, redis: Redis) -> None:
    with MarkerStore(redis, "another worker").locked((KEY,)), pytest.raises(MarkerBusy):
        deliverer.deliver(change(Effect.POINT))
    assert deliverer.deliver(change(Effect.POINT)) is Delivered.CREATED
    assert not redis.exists(LOCK_PREFIX + KEY)


def test_a_lock_that_could_not_be_given_back_is_in_nobodys_way(deliverer: Deliverer, redis: Redis) -> None:
    """Redis was away when this worker was done with the marker."""
    redis.set(LOCK_PREFIX + KEY, "the worker under test 0123")
    assert deliverer.deliver(change(Effect.POINT)) is Delivered.CREATED
    assert not redis.exists(LOCK_PREFIX + KEY)


def test_only_the_dead_workers_lock_is_broken(redis: Redis) -> None:
    redis.flushdb()
    with MarkerStore(redis, "host.1.a").locked((KEY,)):
        MarkerStore(redis, "host.1.ab").break_lock(KEY)
        MarkerStore(redis, "host.2.a").break_lock(KEY)
        assert redis.exists(LOCK_PREFIX + KEY)
        MarkerStore(redis, "host.1.a").break_lock(KEY)
        assert not redis.exists(LOCK_PREFIX + KEY)


def test_after_an_update_with_no_answer_the_next_one_sends_everything(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
) -> None:
    """The end was committed and its answer lost; then it is reopened, which is what was known to be shown."""
    deliverer.deliver(change(Effect.OPEN, 0))
    api.set_faults(["PATCH:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(change(Effect.CLOSE, 5))
    clock.pass_by(SETTLE)
    deliverer.deliver(change(Effect.REOPEN, 7))
    (event,) = client.iter_events()
    assert event.ended_at is None
