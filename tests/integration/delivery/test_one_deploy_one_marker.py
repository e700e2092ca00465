"""Several names of one marker, several reporters of one deploy: one event."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import RateLimited, ServerFailed, Unreachable
from apitraffic_events.event import Event, EventType
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.datastore.keys import ALIAS_PREFIX, MARKER_LIFETIME
from receiver.delivery.budget import BUDGET, RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_lock import MarkerBusy
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change
from tests.support.changes import at, change
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import running_redis

DEPLOYMENT = "github:acme/shop:deployment:4242"
RUN = "github:acme/shop:run:77:1:production"


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
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        clear(client, redis)
        yield client


@pytest.fixture
def deliverer(client: EventsClient, redis: Redis) -> Deliverer:
    return Deliverer(client, MarkerStore(redis, "worker"), RequestBudget(redis), settle=timedelta(seconds=30))


def clear(client: EventsClient, redis: Redis) -> None:
    redis.flushdb()
    for event in tuple(client.iter_events()):
        client.delete_event(event.sid)


def reported(by: str, names: tuple[str, ...], effect: str = "point", minute: float = 5) -> Change:
    key, *aliases = names
    made = change(
        effect,
        minute,
        key=key,
        delivery=f"{by} {effect}",
        name=f"Deploy by {by}",
        started_at=at(0 if effect == "close" else minute),
        ended_at=at(minute) if effect == "close" else None,
        metadata={"marker_key": key, by: "seen"},
    )
    return made.model_copy(update={"aliases": tuple(aliases)})


WEBHOOK = reported("webhook", (RUN, DEPLOYMENT))
THIRD_PARTY = reported("third_party", (DEPLOYMENT,))
PLUGIN = reported("plugin", (RUN,))


@pytest.mark.parametrize("order", list(permutations([WEBHOOK, THIRD_PARTY, PLUGIN])))
def test_all_reports_of_a_deploy_are_one_event_in_every_order(
    deliverer: Deliverer, client: EventsClient, order: tuple[Change, ...]
) -> None:
    for report in order:
        deliverer.deliver(report)
    (event,) = client.iter_events()
    assert {"webhook", "third_party", "plugin"} <= set(event.metadata)
    for report in order:
        assert deliverer.deliver(report) is Delivered.UNCHANGED


def test_what_the_plugin_told_the_api_itself_is_enriched_and_not_doubled(
    deliverer: Deliverer, client: EventsClient
) -> None:
    mine = Event(
        type=EventType.DEPLOYMENT, name="Deploy", metadata={"marker_key": RUN, "build": "7"}, started_at=at(0)
    )
    created = client.create_event(mine)
    assert deliverer.deliver(WEBHOOK) is Delivered.FOUND
    (event,) = client.iter_events()
    assert event.sid == created.sid
    assert event.metadata["build"] == "7"
    assert event.metadata["webhook"] == "seen"


def test_the_end_that_the_plugin_told_the_api_itself_is_left(
    deliverer: Deliverer, client: EventsClient
) -> None:
    span = Event(
        type=EventType.DEPLOYMENT,
        name="Deploy",
        metadata={"marker_key": RUN},
        started_at=at(0),
        ended_at=at(4),
    )
    created = client.create_event(span)
    deliverer.deliver(WEBHOOK)
    (event,) = client.iter_events()
    assert event.sid == created.sid
    assert (event.name, event.started_at, event.ended_at) == ("Deploy", at(0), at(4))
    assert event.metadata["webhook"] == "seen"


def test_an_event_made_under_another_name_before_its_answer_was_lost_is_found(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, redis: Redis
) -> None:
    webhook = reported("webhook", (DEPLOYMENT, RUN), minute=4)
    api.set_faults(["POST:status=429x1"])
    with pytest.raises(RateLimited):
        deliverer.deliver(PLUGIN)
    redis.delete(BUDGET)
    api.set_faults(["POST:dropx1"])
    with pytest.raises(Unreachable):
        deliverer.deliver(webhook)
    (lost,) = client.iter_events()
    assert lost.metadata["marker_key"] == DEPLOYMENT
    assert deliverer.deliver(PLUGIN) is Delivered.FOUND
    assert deliverer.deliver(webhook) in {Delivered.UPDATED, Delivered.UNCHANGED}
    assert [event.sid for event in client.iter_events()] == [lost.sid]


def test_a_span_is_closed_by_whoever_reports_its_end(deliverer: Deliverer, client: EventsClient) -> None:
    deliverer.deliver(reported("plugin", (RUN,), "open", 1))
    deliverer.deliver(reported("webhook", (RUN, DEPLOYMENT), "close", 6))
    deliverer.deliver(reported("plugin", (RUN,), "close", 7))
    (event,) = client.iter_events()
    assert (event.started_at, event.ended_at) == (at(1), at(6))


def test_markers_of_unrelated_names_stay_apart(deliverer: Deliverer, client: EventsClient) -> None:
    deliverer.deliver(WEBHOOK)
    deliverer.deliver(
        reported("webhook", ("github:acme/shop:run:77:1:staging", "github:acme/shop:deployment:4243"))
    )
    assert len(list(client.iter_events())) == 2


def test_a_name_lives_as_long_as_its_marker(deliverer: Deliverer, redis: Redis) -> None:
    deliverer.deliver(WEBHOOK)
    assert 0 < redis.ttl(ALIAS_PREFIX + DEPLOYMENT) <= MARKER_LIFETIME
    assert not redis.exists(ALIAS_PREFIX + RUN)


class TestAMergeThatIsInterrupted:
    """Two markers have an event each when somebody says that they are one."""

    @pytest.fixture(autouse=True)
    def two(self, deliverer: Deliverer, client: EventsClient) -> None:
        deliverer.deliver(THIRD_PARTY)
        deliverer.deliver(PLUGIN)
        assert len(list(client.iter_events())) == 2

    def test_by_the_api_is_made_up_for(
        self, deliverer: Deliverer, client: EventsClient, api: LocalApi
    ) -> None:
        api.set_faults(["DELETE:status=503x1"])
        with pytest.raises(ServerFailed):
            deliverer.deliver(WEBHOOK)
        self.is_made_up_for(deliverer, client)

    def test_by_a_worker_at_the_other_marker_is_made_up_for(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis
    ) -> None:
        with MarkerStore(redis, "another").locked((RUN,)), pytest.raises(MarkerBusy):
            deliverer.deliver(WEBHOOK)
        self.is_made_up_for(deliverer, client)

    def test_before_it_began_is_made_up_for(
        self, deliverer: Deliverer, client: EventsClient, redis: Redis
    ) -> None:
        dead = MarkerStore(redis, "dead")
        with dead.locked(WEBHOOK.names) as lock:
            assert (lock.known.key, lock.others) == (DEPLOYMENT, (RUN,))
        self.is_made_up_for(deliverer, client)

    def is_made_up_for(self, deliverer: Deliverer, client: EventsClient) -> None:
        assert deliverer.deliver(WEBHOOK) is Delivered.UPDATED
        (event,) = client.iter_events()
        assert {"webhook", "third_party", "plugin"} <= set(event.metadata)
        assert deliverer.deliver(PLUGIN) is Delivered.UNCHANGED


def test_a_marker_that_another_worker_merges_meanwhile_is_not_merged_twice(
    deliverer: Deliverer, client: EventsClient, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "a:1", "b:1"
    for name in (first, second, RUN):
        deliverer.deliver(reported(name, (name,)))
    another = Deliverer(
        client, MarkerStore(redis, "another"), RequestBudget(redis), settle=timedelta(seconds=30)
    )
    resolve = MarkerStore.locked

    def late(
        store: MarkerStore, names: Sequence[str], claims: Sequence[str] = (), *, resolved: bool = False
    ) -> Any:
        """The other worker comes between our finding of the two and our opening of the second."""
        if resolved:
            monkeypatch.undo()
            another.deliver(reported("another", (RUN, first)))
        return resolve(store, names, claims, resolved=resolved)

    monkeypatch.setattr(MarkerStore, "locked", late)
    with pytest.raises(MarkerBusy):
        deliverer.deliver(reported("late", (RUN, second)))
    deliverer.deliver(reported("late", (RUN, second)))
    (event,) = client.iter_events()
    assert {first, second, RUN, "another", "late"} <= set(event.metadata)


def test_a_merge_that_was_saved_and_not_ended_shows_in_the_end_what_is_known(
    deliverer: Deliverer, client: EventsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other marker, which is still there, changes the event that both have now."""
    opened = reported("plugin", (RUN,), "open", 1)
    latest = reported("third_party", (DEPLOYMENT,), "update", 9)
    latest = latest.model_copy(update={"sets": ("name",), "event": opened.event})
    both = reported("webhook", (RUN, DEPLOYMENT), "update", 3)
    assert deliverer.deliver(latest) is Delivered.AWAITING_OPENING
    deliverer.deliver(opened)
    with monkeypatch.context() as patched:
        patched.setattr(MarkerStore, "forget", _die)
        with pytest.raises(RedisConnectionError):
            deliverer.deliver(both)
    deliverer.deliver(reported("between", (RUN,), "update", 5))
    (event,) = client.iter_events()
    assert event.name == "Deploy by between"
    deliverer.deliver(both)
    (event,) = client.iter_events()
    assert event.name == "Deploy by plugin"


def _die(*_: object, **__: object) -> None:
    raise RedisConnectionError("gone")


def test_a_merge_that_was_saved_and_not_ended_keeps_the_event(
    deliverer: Deliverer,
    client: EventsClient,
    api: LocalApi,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliverer.deliver(PLUGIN)
    (created,) = client.iter_events()
    api.set_faults(["POST:status=500x1"])
    with pytest.raises(ServerFailed):
        deliverer.deliver(THIRD_PARTY)
    deliverer = Deliverer(
        client,
        MarkerStore(redis, "worker"),
        RequestBudget(redis),
        settle=timedelta(seconds=30),
        clock=lambda: now() + timedelta(minutes=1),
    )
    with monkeypatch.context() as patched:
        patched.setattr(MarkerStore, "forget", _die)
        with pytest.raises(RedisConnectionError):
            deliverer.deliver(WEBHOOK)
    deliverer.deliver(WEBHOOK)
    (event,) = client.iter_events()
    assert event.sid == created.sid
    assert {"webhook", "third_party", "plugin"} <= set(event.metadata)


@pytest.mark.parametrize("fault", ["DELETE:dropx1", "DELETE:status=503x1"])
@pytest.mark.parametrize("names", [(RUN,), (DEPLOYMENT,), (RUN, "run:8")])
def test_a_merge_without_an_answer_to_the_deletion_makes_one_event_whatever_is_reported_before_the_retry(
    deliverer: Deliverer, client: EventsClient, api: LocalApi, names: tuple[str, ...], fault: str
) -> None:
    for reporter in (PLUGIN, THIRD_PARTY, reported("neighbour", ("run:8",))):
        deliverer.deliver(reporter)
    api.set_faults([fault])
    with pytest.raises((ServerFailed, Unreachable)):
        deliverer.deliver(WEBHOOK)
    deliverer.deliver(reported("between", names, "update", 6))
    deliverer.deliver(WEBHOOK)
    found = [event for event in client.iter_events() if "webhook" in event.metadata]
    assert len(found) == 1
    assert {"third_party", "plugin", "between"} <= set(found[0].metadata)
    assert len([*client.iter_events()]) == (1 if "run:8" in names else 2)


def test_what_a_merged_marker_was_also_known_as_leads_to_the_one_it_was_merged_into(
    deliverer: Deliverer, client: EventsClient
) -> None:
    for names in ((RUN, "build:7"), (DEPLOYMENT,), (DEPLOYMENT, RUN), ("build:7", "ticket:1"), ("ticket:1",)):
        deliverer.deliver(reported("-".join(names), names))
    (event,) = client.iter_events()
    assert "ticket:1" in event.metadata
