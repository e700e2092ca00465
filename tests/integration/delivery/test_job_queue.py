"""Our one step for taking a job, and the one for its end, leave in Redis what RQ's own leave there."""

from collections.abc import Callable
from typing import cast
from uuid import UUID

import pytest
from redis import Redis
from rq import Queue, SimpleWorker, executions
from rq.job import Job
from rq.serializers import JSONSerializer

from receiver.datastore.address import connect
from receiver.datastore.replies import as_text
from receiver.delivery.budget import Permit
from receiver.delivery.marker_store import MarkerStore
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queues
from receiver.queue.throughput import delivered_in_last_hour
from receiver.worker import job_queue as job_queue_module
from receiver.worker.dequeued import Dequeued
from receiver.worker.job_queue import JobQueue
from tests.support.changes import change

EXECUTION = UUID(int=7)
WORKER = "the-worker"
MOMENTS = {"created_at", "enqueued_at", "started_at", "last_heartbeat", "total_working_time"}
"""Fields whose values depend on when the test runs."""
LATE = 10.0
"""Seconds that may lie between the two that are compared."""

Dequeue = Callable[[], Dequeued]
Ack = Callable[[Dequeued], None]


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture(autouse=True)
def _both_have_the_same_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (executions, job_queue_module):
        monkeypatch.setattr(module, "uuid4", lambda: EXECUTION)


def rq(redis: Redis) -> tuple[Dequeue, Ack]:
    # RQ takes a job off the list of those on the way only where a worker has one queue.
    _, routine = delivery_queues(redis)
    worker = SimpleWorker([routine], name=WORKER, connection=redis, serializer=JSONSerializer)

    def dequeue() -> Dequeued:
        dequeued = Queue.dequeue_any([routine], None, redis, serializer=JSONSerializer)
        assert dequeued is not None
        job, _ = dequeued
        execution = worker.prepare_execution(job)
        worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
        return Dequeued(
            job.id, cast("dict[bytes, bytes]", redis.hgetall(job.key)), routine, execution, Permit(), None
        )

    def ack(done: Dequeued) -> None:
        done.job.ended_at = done.job.started_at
        worker.handle_job_success(done.job, routine, routine.started_job_registry, done.execution)
        worker.set_state("idle")

    return dequeue, ack


def job_queue_of(redis: Redis) -> JobQueue:
    key = f"{SimpleWorker.redis_worker_namespace_prefix}{WORKER}"
    return JobQueue(redis, delivery_queues(redis), WORKER, key)


def ours(redis: Redis) -> tuple[Dequeue, Ack]:
    job_queue = job_queue_of(redis)

    def ack(done: Dequeued) -> None:
        job_queue.ack(done, 0.0)
        job_queue.flush_acks()

    return lambda: dequeued(job_queue), ack


def dequeued(job_queue: JobQueue) -> Dequeued:
    found = job_queue.dequeue()
    assert found is not None
    return found


def queue_one(redis: Redis, delivery: str = "one") -> str:
    """The id of the job that the receiver makes of a change."""
    assert Enqueuer(redis).enqueue([change("point", delivery=delivery)])
    return str(routine_of(redis).job_ids[-1])


def routine_of(redis: Redis) -> Queue:
    _, routine = delivery_queues(redis)
    return routine


def in_work(redis: Redis) -> list[str]:
    ids = routine_of(redis).started_job_registry.get_job_and_execution_ids(cleanup=False)
    return [job_id for job_id, _ in ids]


def contents(redis: Redis) -> tuple[dict[str, object], dict[str, float]]:
    """All that RQ has in Redis, what depends on the moment apart; and the numbers that do."""
    values: dict[str, object] = {}
    numbers: dict[str, float] = {}
    for key in map(as_text, redis.keys("apitraffic:rq:*")):
        numbers[f"{key} ends in"] = redis.ttl(key)
        kind = as_text(redis.type(key))
        if kind == "hash":
            fields = {as_text(name): value for name, value in redis.hgetall(key).items()}
            values[key] = {name: "then" if name in MOMENTS else value for name, value in fields.items()}
        elif kind == "zset":
            for name in redis.zrange(key, 0, -1):
                assert isinstance(name, bytes)
                numbers[f"{key} {name!r}"] = redis.zscore(key, name) or 0.0
        else:
            values[key] = redis.smembers(key) if kind == "set" else redis.lrange(key, 0, -1)
    return values, numbers


def test_a_job_is_dequeued_as_in_rq(redis: Redis) -> None:
    begun = []
    for how in (rq, ours):
        redis.flushdb()
        queued = queue_one(redis)
        dequeue, _ = how(redis)
        found = dequeue()
        assert found.job.id == queued
        assert found.job.is_started
        assert found.execution.composite_key == f"{queued}:{EXECUTION.hex}"
        begun.append(contents(redis))
    (values, numbers), (our_values, our_numbers) = begun
    assert any("execution:" in key for key in values)
    assert our_values == values
    assert our_numbers == pytest.approx(numbers, abs=LATE)


def test_a_job_ends_as_in_rq(redis: Redis) -> None:
    ended = []
    for how in (rq, ours):
        redis.flushdb()
        queue_one(redis)
        dequeue, ack = how(redis)
        found = dequeue()
        ack(found)
        assert not redis.exists(found.job.key)
        ended.append(contents(redis))
    (values, numbers), (our_values, our_numbers) = ended
    assert our_values == values
    assert our_numbers == pytest.approx(numbers, abs=LATE)


def test_a_job_is_in_work_for_the_worker_that_dequeued_it(redis: Redis) -> None:
    queued = queue_one(redis)
    found = dequeued(job_queue_of(redis))
    assert (found.job.id, found.job.worker_name, found.queue) == (queued, WORKER, routine_of(redis))
    assert found.job.started_at == found.job.last_heartbeat
    assert in_work(redis) == [queued]
    assert job_queue_of(redis).dequeue() is None


def test_what_is_done_is_counted_once_also_if_it_is_said_twice(redis: Redis) -> None:
    # redis-py sends a command again where its connection broke before the answer.
    dequeue, ack = ours(redis)
    queue_one(redis)
    done = dequeue()
    ack(done)
    ack(done)
    assert delivered_in_last_hour(redis) == 1


def test_a_job_whose_data_are_gone_is_passed_over(redis: Redis) -> None:
    queued = queue_one(redis)
    redis.lpush(routine_of(redis).key, "gone")
    assert dequeued(job_queue_of(redis)).job.id == queued
    assert in_work(redis) == [queued]


def test_what_is_left_of_a_job_that_was_done_twice_holds_nothing_up(redis: Redis) -> None:
    # The one who finishes first deletes the job, and the other still notes something in it.
    left = queue_one(redis)
    redis.delete(Job.key_for(left))
    redis.hset(Job.key_for(left), "status", "queued")
    queued = queue_one(redis, "two")
    assert dequeued(job_queue_of(redis)).job.id == queued
    assert not redis.exists(Job.key_for(left))
    assert in_work(redis) == [queued]


def test_a_job_that_does_not_say_its_queue_is_done_like_others(redis: Redis) -> None:
    redis.hdel(Job.key_for(queue_one(redis)), "origin")
    dequeue, ack = ours(redis)
    ack(dequeue())
    assert in_work(redis) == []


def test_a_job_is_acked_with_the_next_dequeue(redis: Redis) -> None:
    job_queue = job_queue_of(redis)
    first, second = queue_one(redis, "one"), queue_one(redis, "two")
    done = dequeued(job_queue)
    job_queue.ack(done, 0.0)
    assert in_work(redis) == [first]
    assert dequeued(job_queue).job.id == second
    assert in_work(redis) == [second]
    assert not redis.exists(done.job.key)
    assert delivered_in_last_hour(redis) == 1


def test_it_is_acked_also_if_the_queues_are_empty(redis: Redis) -> None:
    job_queue = job_queue_of(redis)
    queue_one(redis)
    job_queue.ack(dequeued(job_queue), 0.0)
    assert job_queue.dequeue() is None
    assert in_work(redis) == []
    job_queue.flush_acks()
    assert delivered_in_last_hour(redis) == 1


class TestAMarkerThatAnotherWorkerHasLocked:
    @pytest.fixture
    def queued(self, redis: Redis) -> list[str]:
        """Three changes of a busy marker, and two of others among them, one of these an alias of it."""
        redis.flushdb()
        enqueuer = Enqueuer(redis)
        for number, key in enumerate(("busy", "busy", "free:1", "busy", "free:2")):
            assert enqueuer.enqueue([change("point", delivery=f"d{number}", key=key)])
        return [str(job_id) for job_id in routine_of(redis).job_ids]

    def test_holds_up_no_other(self, redis: Redis, queued: list[str]) -> None:
        job_queue = job_queue_of(redis)
        with MarkerStore(redis, "another worker").locked(("busy",)):
            taken = [dequeued(job_queue).job.id, dequeued(job_queue).job.id]
            assert taken == [queued[2], queued[4]]
            assert job_queue.dequeue() is None
            assert routine_of(redis).job_ids == [queued[0], queued[1], queued[3]]

    def test_goes_on_in_order_once_it_is_free(self, redis: Redis, queued: list[str]) -> None:
        job_queue = job_queue_of(redis)
        with MarkerStore(redis, "another worker").locked(("busy",)):
            dequeued(job_queue)
        assert dequeued(job_queue).job.id == queued[0]

    def test_is_known_by_all_its_names(self, redis: Redis) -> None:
        redis.flushdb()
        enqueuer = Enqueuer(redis)
        made = change("point", delivery="a", key="job:7")
        for name, field in (("a", "aliases"), ("c", "claims")):
            other = change("point", delivery=name, key=f"deployment:{name}")
            assert enqueuer.enqueue([other.model_copy(update={field: (made.key,)})])
        with MarkerStore(redis, "another worker").locked(made.names):
            assert job_queue_of(redis).dequeue() is None

    def test_a_lock_of_its_own_is_not_in_a_workers_way(self, redis: Redis, queued: list[str]) -> None:
        with MarkerStore(redis, WORKER).locked(("busy",)):
            assert dequeued(job_queue_of(redis)).job.id == queued[0]

    def test_what_is_left_of_a_job_is_removed_behind_it_too(self, redis: Redis, queued: list[str]) -> None:
        redis.delete(Job.key_for(queued[1]), Job.key_for(queued[2]))
        with MarkerStore(redis, "another worker").locked(("busy",)):
            assert dequeued(job_queue_of(redis)).job.id == queued[4]
        assert routine_of(redis).job_ids == [queued[0], queued[3]]
