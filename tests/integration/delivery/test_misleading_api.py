"""One event for each marker, also if the API's answers and lists are not as one would hope."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, ServerFailed, Unauthorised, Unreachable
from apitraffic_events.event import Event, EventType
from apitraffic_events.timestamps import format_timestamp
from receiver.datastore.address import connect
from receiver.datastore.keys import LOCK_PREFIX, REMEMBERS_SINCE
from receiver.delivery.budget import PAUSE, RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.doubt import LIST_LAG, Unsettled
from receiver.delivery.marker_lock import MarkerBusy
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.retries import EventRefused, is_refusal
from receiver.events import Change, stand_in_name
from tests.support.changes import KEY, at, change
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use, running_redis
from tests.support.waiting import wait_until

SETTLE = timedelta(seconds=30)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield connect(url)


@pytest.fixture
def client(api: LocalApi, redis: Redis) -> Iterator[EventsClient]:
    redis.flushdb()
    long_in_use(redis)
    api.set_faults([])
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        api.remove_events()
        yield client
    api.set_faults([])


class Clock:
    """The worker's; goes on when it is told to."""

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
    return deliverer_of(client, redis, clock)


def deliverer_of(client: EventsClient, redis: Redis, clock: Clock) -> Deliverer:
    return Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=SETTLE, clock=clock)


def opened(minute: float = 0, **fields: Any) -> Change:
    key = fields.setdefault("key", KEY)
    return change("open", minute, started_at=at(minute), metadata={"marker_key": key}, **fields)


def closed(minute: float = 5, **fields: Any) -> Change:
    return change(
        "close", minute, started_at=at(0), ended_at=at(minute), metadata={"marker_key": KEY}, **fields
    )


def fill(api: LocalApi, number: int, start: float, step: float = 0.01, kind: str = "scale") -> None:
    """So many events of others, from so many minutes after ten."""
    api.create_many(
        [
            {
                "type": kind,
                "name": f"Event {index}",
                "startedAt": format_timestamp(at(start + index * step)),
            }
            for index in range(number)
        ]
    )


def own(client: EventsClient) -> list[str]:
    """The events of our marker."""
    return [event.sid for event in client.iter_events() if event.metadata.get("marker_key") == KEY]


def lists(api: LocalApi) -> int:
    """How many lists have been asked for."""
    return api.requests().get("GET", {}).get("200", 0)


def until_settled(deliverer: Deliverer, wanted: Change, clock: Clock) -> Delivered:
    """Deliver as the queue does, waiting as long as it is told to."""
    for _ in range(10):
        try:
            return deliverer.deliver(wanted)
        except Unsettled as unsettled:
            clock.pass_by(timedelta(seconds=unsettled.wait))
    raise AssertionError("it never gets certain")


class TestNoAnswerProvesThatNothingWasDone:
    @pytest.mark.parametrize("fault", ["POST:commit=500x1", "POST:commit=503x1", "POST:commit=200x1"])
    def test_what_was_committed_is_found(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock, fault: str
    ) -> None:
        api.set_faults([fault])
        with pytest.raises(ServerFailed):
            deliverer.deliver(opened())
        assert until_settled(deliverer, opened(), clock) is Delivered.FOUND
        assert len(own(client)) == 1

    def test_a_list_that_lags_is_asked_again(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
    ) -> None:
        api.set_faults(["POST:dropx1", "lag=1"])
        with pytest.raises(Unreachable):
            deliverer.deliver(opened())
        with pytest.raises(Unsettled):
            deliverer.deliver(opened())
        clock.pass_by(SETTLE)
        with pytest.raises(Unsettled):
            deliverer.deliver(opened())
        wait_until(lambda: own(client), "the list to catch up")
        clock.pass_by(LIST_LAG)
        assert deliverer.deliver(opened()) is Delivered.FOUND
        assert len(own(client)) == 1

    def test_a_500_may_be_carried_out_later(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
    ) -> None:
        api.set_faults(["POST:late=1x1"])
        with pytest.raises(ServerFailed):
            deliverer.deliver(opened())
        with pytest.raises(Unsettled):
            deliverer.deliver(opened())
        wait_until(lambda: own(client), "the late request to be carried out")
        assert until_settled(deliverer, opened(), clock) is Delivered.FOUND
        assert len(own(client)) == 1

    def test_what_was_never_done_is_done_after_that(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
    ) -> None:
        api.set_faults(["POST:status=500x1"])
        with pytest.raises(ServerFailed):
            deliverer.deliver(opened())
        began_at = clock()
        assert until_settled(deliverer, opened(), clock) is Delivered.CREATED
        waited = clock() - began_at
        assert abs(waited - SETTLE - LIST_LAG) < timedelta(seconds=0.1)

    def test_other_changes_of_the_marker_do_not_ask_in_between(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
    ) -> None:
        """A marker with many changes would use up the budget while the API fails."""
        api.set_faults(["POST:status=500x1"])
        with pytest.raises(ServerFailed):
            deliverer.deliver(opened())
        before = lists(api)
        for minute in range(1, 9):
            with pytest.raises(Unsettled):
                deliverer.deliver(closed(minute))
        assert lists(api) == before + 1

    def test_an_update_that_was_answered_with_500_is_waited_out(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock
    ) -> None:
        deliverer.deliver(opened())
        api.set_faults(["PATCH:late=1x1"])
        with pytest.raises(ServerFailed):
            deliverer.deliver(closed(5))
        with pytest.raises(Unsettled):
            deliverer.deliver(change("reopen", 7))
        wait_until(
            lambda: next(client.iter_events()).ended_at is not None, "the late update to be carried out"
        )
        assert until_settled(deliverer, change("reopen", 7), clock) is Delivered.UPDATED
        assert next(client.iter_events()).ended_at is None


class TestTheTimeOfARequest:
    """A worker that is held up between what it saves and its request must not leave a wrong time behind."""

    def test_is_taken_when_it_leaves(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, clock: Clock, api: LocalApi
    ) -> None:
        class HeldUp:
            def before_request(self) -> None:
                clock.pass_by(timedelta(minutes=1))

            def after_answer(self, _: object) -> None: ...

        held_up = EventsClient(
            api_url=api.url, account_sid=api.account_sid, token=api.token, pacer=HeldUp(), read_timeout=0.2
        )
        api.set_faults(["POST:latency=1x1"])
        with held_up, pytest.raises(Unreachable):
            deliverer_of(held_up, redis, clock).deliver(opened())
        with pytest.raises(Unsettled) as unsettled:
            deliverer.deliver(opened())
        assert unsettled.value.wait == pytest.approx(SETTLE.total_seconds(), abs=0.1)
        wait_until(lambda: own(client), "the late request to be carried out")
        assert until_settled(deliverer, opened(), clock) is Delivered.FOUND

    def test_and_nothing_is_sent_if_the_lock_is_lost(
        self, client: EventsClient, redis: Redis, clock: Clock, api: LocalApi
    ) -> None:
        class HeldUp:
            def before_request(self) -> None:
                clock.pass_by(timedelta(minutes=4))
                redis.set(f"{LOCK_PREFIX}{KEY}", "another worker")

            def after_answer(self, _: object) -> None: ...

        held_up = EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token, pacer=HeldUp())
        with held_up, pytest.raises(MarkerBusy):
            deliverer_of(held_up, redis, clock).deliver(opened())
        assert own(client) == []


class TestARefusal:
    def test_of_one_event_holds_up_no_other(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, api: LocalApi
    ) -> None:
        api.set_faults(["waf"])
        with pytest.raises(EventRefused, match="something in this event") as caught:
            deliverer.deliver(opened(name="Robert'); DROP TABLE students"))
        assert caught.value.status == 403
        assert is_refusal(caught.value)
        assert not redis.exists(PAUSE)
        assert deliverer.deliver(opened(key="another:1")) is Delivered.CREATED

    def test_of_one_update_holds_up_no_other(self, deliverer: Deliverer, redis: Redis, api: LocalApi) -> None:
        deliverer.deliver(opened())
        api.set_faults(["waf"])
        with pytest.raises(EventRefused):
            deliverer.deliver(closed(description="DROP TABLE"))
        assert not redis.exists(PAUSE)

    @pytest.mark.parametrize(
        "faults",
        [
            ["status=403"],
            ["POST:status=403", "PATCH:status=403", "PUT:status=403"],
            ["POST:status=401"],
        ],
        ids=["everything", "writing", "the token"],
    )
    def test_of_the_account_pauses_all(
        self, deliverer: Deliverer, redis: Redis, api: LocalApi, faults: list[str]
    ) -> None:
        api.set_faults(faults)
        with pytest.raises(Unauthorised):
            deliverer.deliver(opened())
        assert redis.exists(PAUSE)

    @pytest.mark.parametrize("fault", ["GET:status=500", "PATCH:status=500"])
    def test_that_is_not_clear_is_asked_about_again(
        self, deliverer: Deliverer, redis: Redis, api: LocalApi, fault: str
    ) -> None:
        api.set_faults(["POST:status=403", fault])
        with pytest.raises(ServerFailed):
            deliverer.deliver(opened())
        assert not redis.exists(PAUSE)


class TestAfterRedisLostItsData:
    @pytest.fixture
    def lose(self, client: EventsClient, redis: Redis) -> None:
        redis.flushdb()

    @pytest.mark.parametrize("effect", ["point", "open"])
    def test_what_was_delivered_is_found(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, api: LocalApi, effect: str
    ) -> None:
        first = change(effect, 0, started_at=at(0), metadata={"marker_key": KEY})
        assert deliverer.deliver(first) is Delivered.CREATED
        redis.flushdb()
        fill(api, 130, start=-200, step=1)
        before = lists(api)
        assert deliverer.deliver(first) is Delivered.FOUND
        assert lists(api) == before + 1
        assert len(own(client)) == 1

    @pytest.mark.parametrize("fault", ["renamed", "unfiltered"])
    def test_what_was_delivered_is_found_whatever_the_filters(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, api: LocalApi, fault: str
    ) -> None:
        first = change("point", 0, started_at=at(0), metadata={"marker_key": KEY})
        deliverer.deliver(first)
        redis.flushdb()
        fill(api, 250, start=1, step=0.1)
        api.set_faults([fault])
        assert deliverer.deliver(first) is Delivered.FOUND

    def test_what_its_sender_gives_no_time_is_found(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis, clock: Clock
    ) -> None:
        """Its time is when it was received, so the second one happened after the loss."""
        deliverer.deliver(received_at(clock()))
        redis.flushdb()
        redis.set(REMEMBERS_SINCE, (clock() + timedelta(minutes=1)).timestamp())
        assert deliverer.deliver(received_at(clock() + timedelta(minutes=2))) is Delivered.FOUND

    def test_a_closing_without_a_start_finds_what_began_days_ago(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, redis: Redis
    ) -> None:
        deliverer.deliver(opened())
        redis.flushdb()
        fill(api, 120, start=60, step=1)
        end = change("close", 3 * 24 * 60, ended_at=at(3 * 24 * 60), sets=("ended_at",))
        assert deliverer.deliver(end) is Delivered.FOUND
        (event,) = [event for event in client.iter_events() if event.metadata.get("marker_key") == KEY]
        assert (event.started_at, event.ended_at) == (at(0), at(3 * 24 * 60))

    def test_a_closing_after_the_loss_finds_what_began_days_before_it(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, redis: Redis
    ) -> None:
        deliverer.deliver(opened())
        redis.flushdb()
        redis.set(REMEMBERS_SINCE, at(24 * 60).timestamp())
        fill(api, 220, start=3 * 24 * 60 - 100, step=0.1)
        end = change("close", 3 * 24 * 60, ended_at=at(3 * 24 * 60), sets=("ended_at",))
        assert deliverer.deliver(end) is Delivered.FOUND
        assert len(own(client)) == 1

    def test_an_opening_after_a_part_of_it_is_found(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis
    ) -> None:
        deliverer.deliver(opened())
        redis.flushdb()
        part = change("update", 600, sets=("metadata",))
        deliverer.deliver(part)
        assert deliverer.deliver(closed(700)) in {Delivered.FOUND, Delivered.UPDATED}
        assert len(own(client)) == 1

    def test_what_happens_later_needs_no_look_up(
        self, deliverer: Deliverer, redis: Redis, api: LocalApi, clock: Clock
    ) -> None:
        redis.set(REMEMBERS_SINCE, (clock() - timedelta(hours=2)).timestamp())
        before = lists(api)
        assert deliverer.deliver(received_at(clock())) is Delivered.CREATED
        assert lists(api) == before

    def test_a_redis_notes_when_it_begins(self, deliverer: Deliverer, redis: Redis) -> None:
        redis.flushdb()
        deliverer.deliver(opened())
        noted = redis.get(REMEMBERS_SINCE)
        assert noted is not None
        assert abs(float(noted) - datetime.now(UTC).timestamp()) < 60
        deliverer.deliver(opened(key="another:1"))
        assert redis.get(REMEMBERS_SINCE) == noted
        assert redis.ttl(REMEMBERS_SINCE) == -1


def received_at(moment: datetime) -> Change:
    """Of a sender that names no time, such as a script or GitLab of a feature flag."""
    made = change("point", source="gitlab", metadata={"marker_key": KEY})
    event = made.event.model_copy(update={"started_at": moment})
    return made.model_copy(update={"occurred_at": moment, "event": event, "is_undated": True})


class TestTheCostOfALookUp:
    @pytest.fixture
    def deploy(self) -> Change:
        """Of GitHub Actions: a step of its job may have told the API of it already."""
        made = change("point", 5, started_at=at(5), metadata={"marker_key": KEY})
        return made.model_copy(
            update={
                "claims": ("github:job:7:production",),
                "lasted": timedelta(minutes=4),
                "is_authoritative": True,
            }
        )

    @pytest.mark.parametrize("faults", [[], ["renamed"], ["unfiltered"]], ids=["as it is", "renamed", "none"])
    def test_of_a_deploy_is_two_requests_whatever_is_there(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, deploy: Change, faults: list[str]
    ) -> None:
        fill(api, 250, start=-50, step=0.5)
        fill(api, 60, start=0, step=0.1, kind="deployment")
        api.set_faults(faults)
        before = lists(api)
        assert deliverer.deliver(deploy) is Delivered.CREATED
        assert lists(api) <= before + 2

    def test_it_finds_what_the_step_has_told(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, deploy: Change
    ) -> None:
        fill(api, 250, start=-50, step=0.5)
        step = {"marker_key": "github:job:7:production"}
        client.create_event(Event(type=EventType.DEPLOYMENT, name="Step", started_at=at(2), metadata=step))
        assert deliverer.deliver(deploy) is Delivered.FOUND

    @pytest.mark.parametrize("faults", [["renamed"], ["unfiltered"]], ids=["renamed", "none"])
    def test_a_lost_event_is_found_among_many_whatever_the_filters(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, clock: Clock, faults: list[str]
    ) -> None:
        fill(api, 950, start=10, step=0.1)
        api.set_faults(["POST:dropx1", *faults])
        with pytest.raises(Unreachable):
            deliverer.deliver(opened())
        before = lists(api)
        assert deliverer.deliver(opened()) is Delivered.FOUND
        assert lists(api) - before <= 14
        assert len(own(client)) == 1

    def test_a_filter_that_means_something_else_hides_nothing(self, redis: Redis, clock: Clock) -> None:
        """The list filters by when events were created; ours began long before."""
        redis.flushdb()
        long_in_use(redis)
        address = "https://api.example/v1/accounts/acc_1/events"
        stored = {
            "sid": "evt_1",
            "type": "deployment",
            "name": "Deploy",
            "metadata": {"marker_key": KEY},
            "startedAt": format_timestamp(at(0)),
        }
        with (
            EventsClient(api_url="https://api.example/v1", account_sid="acc_1", token="token") as client,
            responses.RequestsMock() as http,
        ):

            def listed(request: Any) -> tuple[int, dict[str, str], str]:
                records = [] if "startDate" in request.url else [stored]
                return 200, {}, json.dumps({"records": records, "hasMore": False})

            http.post(address, status=500)
            http.add_callback("GET", address, listed)
            http.patch(f"{address}/evt_1", json=stored)
            deliverer = deliverer_of(client, redis, clock)
            with pytest.raises(EventsApiError):
                deliverer.deliver(opened())
            assert until_settled(deliverer, opened(), clock) is Delivered.FOUND


def test_an_event_of_ours_outside_our_limits_is_closed_all_the_same(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, redis: Redis
) -> None:
    """Somebody has added metadata by hand. The update is the API's to judge."""
    metadata = {"marker_key": KEY} | {f"key_{number}": number for number in range(120)}
    body = {"type": "incident", "name": "x", "metadata": metadata, "startedAt": format_timestamp(at(0))}
    assert api.call("POST", "/events", json=body).status_code == 201
    assert deliverer.deliver(closed()) is Delivered.FOUND
    (event,) = client.iter_events()
    assert event.ended_at == at(5)
    assert len(event.metadata) >= 121
    again = deliverer_of(client, redis, Clock())
    assert again.deliver(closed(5, delivery="again")) in {Delivered.UNCHANGED, Delivered.UPDATED}


class TestAClosingThatNamesOnlyTheKey:
    """`{"key": …, "endedAt": …}` of the native endpoint, which arrives before its opening."""

    @pytest.fixture
    def end(self) -> Change:
        return change(
            *("close", 5),
            type="custom",
            name=stand_in_name(KEY),
            started_at=at(5),
            ended_at=at(5),
            sets=("ended_at",),
            metadata={"marker_key": KEY},
        )

    def test_becomes_what_the_opening_says(
        self, deliverer: Deliverer, client: EventsClient, end: Change
    ) -> None:
        assert deliverer.deliver(end) is Delivered.CREATED
        start = opened(type="incident", name="Checkout is down", buckets=("bkt_payments0000000000000000000",))
        assert deliverer.deliver(start) is Delivered.UPDATED
        (event,) = client.iter_events()
        assert (event.type, event.name) == ("incident", "Checkout is down")
        assert event.buckets == start.event.buckets
        assert (event.started_at, event.ended_at) == (at(0), at(5))

    def test_also_if_its_own_answer_is_lost(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi, end: Change
    ) -> None:
        api.set_faults(["POST:dropx1"])
        with pytest.raises(Unreachable):
            deliverer.deliver(end)
        assert deliverer.deliver(opened(type="incident", name="Checkout is down")) is Delivered.FOUND
        (event,) = client.iter_events()
        assert (event.type, event.name) == ("incident", "Checkout is down")
        assert (event.started_at, event.ended_at) == (at(0), at(5))

    @pytest.mark.parametrize("status", [400, 422])
    def test_of_an_api_that_does_not_let_types_change_all_else_is_right(
        self, redis: Redis, clock: Clock, end: Change, status: int
    ) -> None:
        redis.flushdb()
        long_in_use(redis)
        address = "https://api.example/v1/accounts/acc_1/events"
        updates = []

        def updated(request: Any) -> tuple[int, dict[str, str], str]:
            updates.append(json.loads(request.body))
            if "type" in updates[-1]:
                return status, {}, '{"error": {"code": "VALIDATION_ERROR", "message": "type is fixed"}}'
            return 200, {}, '{"sid": "evt_1"}'

        with (
            EventsClient(api_url="https://api.example/v1", account_sid="acc_1", token="token") as client,
            responses.RequestsMock() as http,
        ):
            http.get(address, json={"records": [], "hasMore": False})
            http.post(address, json={"sid": "evt_1"}, status=201)
            http.add_callback("PATCH", f"{address}/evt_1", updated)
            deliverer = deliverer_of(client, redis, clock)
            deliverer.deliver(end)
            assert deliverer.deliver(opened(type="incident", name="Down")) is Delivered.UPDATED
            assert deliverer.deliver(change("update", 2, remark="On it")) is Delivered.UPDATED
        assert ["type" in update for update in updates] == [True, False, False]
        assert updates[1]["name"] == "Down"
