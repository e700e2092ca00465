"""Scripts are sent by their digest, and whole only to a Redis that does not know them.

If one fails in the middle, nothing is lost.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from apitraffic_events.client import EventsClient
from receiver.datastore.address import connect
from receiver.datastore.replication import run_replicated
from receiver.datastore.scripts.runner import Script
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.errors import StorageUnavailable
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queues
from receiver.queue.throughput import delivered_in_last_hour
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.job_queue import JobQueue
from receiver.worker.recovery import Recovery
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import change
from tests.support.local_api import running_local_api

SHORT = Script("return_permit")


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EventsClient]:
    with (
        running_local_api(tmp_path) as api,
        EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client,
    ):
        yield client


def times_sent_whole(redis: Redis) -> int:
    return int(redis.info("commandstats").get("cmdstat_eval", {}).get("calls", 0))


def work(redis: Redis, client: EventsClient) -> None:
    worker = DeliveryWorker(redis, RequestBudget(redis))
    deliverer = Deliverer(client, worker.markers, RequestBudget(redis), settle=timedelta(seconds=30))
    worker.run_job = DeliveryAttempts(deliverer).make
    worker.work(burst=True, logging_level="CRITICAL")


def test_only_the_first_delivery_sends_text_of_scripts(redis: Redis, client: EventsClient) -> None:
    enqueuer = Enqueuer(redis)
    for number in range(3):
        assert enqueuer.enqueue([change("point", key=f"test:{number}")])
        work(redis, client)
        if number == 0:
            first = times_sent_whole(redis)
    assert first > 0
    assert times_sent_whole(redis) == first
    assert len(list(client.iter_events())) == 3


def test_a_redis_that_has_forgotten_a_script_gets_it_again(redis: Redis) -> None:
    for _ in range(2):
        redis.script_flush()
        redis.hset("apitraffic:budget", mapping={"reset": "7", "remaining": "1"})
        SHORT.run(redis, ["apitraffic:budget"], ["7"])
        assert redis.hget("apitraffic:budget", "remaining") == b"2"


def test_so_does_one_that_replicas_would_have_to_confirm(redis: Redis) -> None:
    for _ in range(2):
        redis.script_flush()
        redis.hset("apitraffic:budget", mapping={"reset": "7", "remaining": "1"})
        run_replicated(redis, SHORT, ["apitraffic:budget"], ["7"])
        assert redis.hget("apitraffic:budget", "remaining") == b"2"


def test_an_ack_is_not_lost_with_the_scripts(redis: Redis) -> None:
    queue = JobQueue(redis, delivery_queues(redis), "worker", "worker")
    assert Enqueuer(redis).enqueue([change("point", key="test:1")])
    assert Enqueuer(redis).enqueue([change("point", key="test:2")])
    first = queue.dequeue()
    assert first is not None
    queue.ack(first, 0.0)
    redis.script_flush()
    second = queue.dequeue()
    assert second is not None
    assert not redis.exists(first.job.key)
    queue.ack(second, 0.0)
    redis.script_flush()
    queue.flush_acks()
    assert not redis.exists(second.job.key)
    assert delivered_in_last_hour(redis) == 2


class TestAScriptThatFailsInTheMiddle:
    """Redis keeps what it has written by then. A key of the wrong type, or a missing right, makes it fail."""

    @pytest.mark.parametrize("broken", ["queue", "set of queues"])
    def test_a_delivery_that_was_not_queued_is_no_duplicate(self, redis: Redis, broken: str) -> None:
        (_, queue), enqueuer = delivery_queues(redis), Enqueuer(redis)
        key = {"queue": queue.key, "set of queues": queue.redis_queues_keys}[broken]
        redis.set(key, "of another type")
        delivery = [change("point", key="test:1"), change("point", key="test:2", delivery="delivery")]
        with pytest.raises(StorageUnavailable):
            enqueuer.enqueue(delivery)
        redis.delete(key)
        assert enqueuer.enqueue(delivery)
        assert not enqueuer.enqueue(delivery)
        assert len(set(queue.job_ids)) == len(delivery)

    def test_a_retry_stays_due(self, redis: Redis) -> None:
        _, queue = delivery_queues(redis)
        assert Enqueuer(redis).enqueue([change("point", key="test:1")])
        (job,) = queue.jobs
        redis.delete(queue.key)
        redis.zadd(queue.scheduled_job_registry.key, {job.id: 1})
        redis.set(queue.key, "of another type")
        recovery = Recovery(queue, "worker")
        with pytest.raises(ResponseError):
            recovery.enqueue_due()
        redis.delete(queue.key)
        assert recovery.enqueue_due() == 1
        assert queue.job_ids == [job.id]

    def test_a_dead_workers_job_stays_in_work(self, redis: Redis) -> None:
        _, queue = delivery_queues(redis)
        assert Enqueuer(redis).enqueue([change("point", key="test:1")])
        dequeued = JobQueue(redis, delivery_queues(redis), "worker", "worker").dequeue()
        assert dequeued is not None
        redis.set(queue.key, "of another type")
        recovery = Recovery(queue, "worker")
        with pytest.raises(ResponseError):
            recovery.requeue_abandoned()
        redis.delete(queue.key)
        recovery.requeue_abandoned()
        assert queue.job_ids == [dequeued.job.id]

    def test_a_dead_letter_stays_one(self, redis: Redis) -> None:
        _, queue = delivery_queues(redis)
        assert Enqueuer(redis).enqueue([change("point", key="test:1")])
        (job,) = queue.jobs
        redis.delete(queue.key)
        queue.failed_job_registry.add(job, 1_000)
        letters = DeadLetters(delivery_queues(redis))
        (letter,) = letters
        redis.set(queue.key, "of another type")
        with pytest.raises(StorageUnavailable):
            letters.replay(letter)
        redis.delete(queue.key)
        assert letters.replay(letter)
        assert not letters.replay(letter)
        assert queue.job_ids == [job.id]
