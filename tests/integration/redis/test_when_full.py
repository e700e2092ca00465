"""A Redis whose memory is full takes nothing in and lets everything out; also the oldest that we allow."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError, ResponseError, WatchError

from apitraffic_events.client import EventsClient
from receiver.datastore.address import connect
from receiver.datastore.scripts.runner import FOLDER
from receiver.datastore.when_full import connect_to_drain
from receiver.delivery.budget import PAUSE, RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.local.redis_server import find_redis_server
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue, delivery_queues
from receiver.reception.quarantine import Quarantine
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import at, change
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import embedded_valkey, limit_memory, redis_of_62, redis_process

SERVERS = {"of this machine": find_redis_server, "Redis 6.2": redis_of_62, "Valkey": embedded_valkey}


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with redis_process(tmp_path / "redis", SERVERS[request.param]()) as redis:
        yield redis.url


@pytest.fixture
def draining(url: str) -> Redis:
    return connect_to_drain(url)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[LocalApi]:
    with running_local_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        yield client


def fill_memory(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def work(redis: Redis, client: EventsClient) -> None:
    worker = DeliveryWorker(redis, RequestBudget(redis))
    deliverer = Deliverer(client, worker.markers, RequestBudget(redis), settle=timedelta(seconds=1))
    worker.run_job = DeliveryAttempts(deliverer).make
    worker.work(burst=True, logging_level="CRITICAL")


def raw(identifier: str) -> Delivery:
    return Delivery("github", identifier, "push", headers={}, body=b"{", received_at=at(0))


def use(redis: Redis) -> list[Any]:
    """What redis-py returns for commands and transactions of several kinds."""
    found: list[Any] = [
        redis.hset("hash", mapping={"one": 1, "two": "2"}),
        redis.set("text", "1", nx=True, ex=90),
        redis.set("text", "1", nx=True, ex=90),
        redis.zadd("scores", {"a": 1.5}),
    ]
    with redis.pipeline() as pipeline:
        pipeline.hgetall("hash")
        pipeline.zadd("scores", {"b": 2}, xx=True)
        pipeline.expire("hash", 90)
        pipeline.get("nothing")
        pipeline.xadd("stream", {"a": 1}, id="7-1")
        pipeline.hincrbyfloat("hash", "rate", 1.5)
        pipeline.zrange("scores", 0, -1, withscores=True)
        found += pipeline.execute()
        pipeline.sadd("hash", 1)
        pipeline.set("after", 1)
        failed, done = pipeline.execute(raise_on_error=False)
        found += [type(failed), str(failed).partition(" ")[0], done]
    return found


@pytest.mark.parametrize("protocol", [2, 3])
def test_commands_and_transactions_do_and_return_the_same(url: str, protocol: int) -> None:
    redis = connect_to_drain(f"{url}?protocol={protocol}")
    expected = use(redis)
    redis.flushall()
    fill_memory(redis)
    assert use(redis) == expected


def test_a_transaction_that_fills_the_memory_by_itself_is_run(draining: Redis) -> None:
    """Its commands wait in Redis until the last has come. Then Valkey aborts it, and Redis sometimes does."""
    limit_memory(draining, 150_000)
    with draining.pipeline() as pipeline:
        pipeline.set("text", 1)
        for _ in range(300):
            pipeline.delete("name" * 250)
        assert pipeline.execute() == [True, *[0] * 300]
    assert draining.exists("text")


def test_errors_are_raised_as_ever(draining: Redis) -> None:
    draining.set("text", 1)
    fill_memory(draining)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        draining.sadd("text", 1)
    with draining.pipeline() as pipeline:
        pipeline.sadd("text", 1)
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            pipeline.execute()


def test_a_transaction_that_watches_keys_is_not_run_without_watching_them(draining: Redis) -> None:
    fill_memory(draining)
    with draining.pipeline() as pipeline:
        pipeline.watch("key")  # type: ignore[no-untyped-call]  # no types there
        pipeline.multi()
        pipeline.set("key", 1)
        with pytest.raises((OutOfMemoryError, WatchError)):
            pipeline.execute()
    assert not draining.exists("key")


def test_what_comes_in_is_refused(url: str, draining: Redis) -> None:
    redis = connect(url)
    fill_memory(redis)
    # The same client as a worker's: what is refused is the script and not the client.
    for client in (redis, draining):
        with pytest.raises(StorageUnavailable, match="maxmemory"):
            Enqueuer(client).enqueue([change("point")])
        with pytest.raises(StorageUnavailable, match="maxmemory"):
            Quarantine(client).keep(raw("d-1"), "not JSON")
    assert redis.dbsize() == 0


def test_a_queue_that_has_filled_the_memory_is_delivered(
    url: str, draining: Redis, client: EventsClient
) -> None:
    enqueuer = Enqueuer(connect(url))
    accepted = {"first"}
    assert enqueuer.enqueue([change("point", key="test:first", name="first")])
    limit_memory(draining, 200_000)
    for number in range(10_000):
        try:
            enqueuer.enqueue([change("point", key=f"test:{number}", name=f"number {number}")])
        except StorageUnavailable:
            break
        accepted.add(f"number {number}")
    assert len(accepted) > 20
    work(draining, client)
    assert sorted(event.name for event in client.iter_events()) == sorted(accepted)
    assert delivery_queue(draining).count == 0


def test_failures_are_stored_with_their_jobs(
    url: str, draining: Redis, api: LocalApi, client: EventsClient
) -> None:
    """A retry, a dead letter, a pause: each is written by RQ or by us in a transaction."""
    for number in range(3):
        Enqueuer(connect(url)).enqueue([change("point", key=f"test:{number}")])
    fill_memory(draining)
    api.set_faults(["POST:status=503x1", "POST:status=422x1", "POST:status=401x1"])
    work(draining, client)
    queue = delivery_queue(draining)
    assert queue.scheduled_job_registry.get_job_count(cleanup=False) == 2
    assert queue.started_job_registry.get_job_count(cleanup=False) == 0
    letters = DeadLetters(delivery_queues(draining))
    assert [letter.death.code for letter in letters] == ["VALIDATION_ERROR"]
    assert draining.exists(PAUSE) == 1


SPARES = {"enqueue", "keep_in_quarantine", "missing_rights"}
"""Scripts that take something in, which Redis is to refuse, or that write nothing."""


def test_every_script_that_takes_work_out_runs_when_the_memory_is_full() -> None:
    scripts = {file.stem: file.read_text() for file in FOLDER.glob("*.lua")}
    with_it = {name for name, text in scripts.items() if "-- include functions/run_when_full\n" in text}
    assert set(scripts) - with_it == SPARES


def test_what_was_given_up_can_be_discarded(url: str) -> None:
    redis = connect(url)
    quarantine = Quarantine(redis)
    quarantine.keep(raw("d-1"), "not JSON")
    fill_memory(redis)
    quarantine.discard("github:d-1")
    assert quarantine.count() == 0
