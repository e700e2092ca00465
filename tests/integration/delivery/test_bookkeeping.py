"""Our one step for a job's beginning, and the one for its end, leave in Redis what RQ's own leave there."""

from collections.abc import Callable
from uuid import UUID

import pytest
from redis import Redis
from rq import SimpleWorker, executions
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text

from receiver import bookkeeping
from receiver.bookkeeping import Bookkeeping
from receiver.dequeueing import DeliveryQueue
from receiver.enqueueing import Enqueuer
from receiver.queues import connect, delivery_queues
from receiver.throughput import delivered_in_last_hour
from tests.support.changes import change

EXECUTION = UUID(int=7)
WORKER = "the-worker"
MOMENTS = {"created_at", "enqueued_at", "started_at", "last_heartbeat", "total_working_time"}
"""Fields whose values depend on when the test runs."""
LATE = 10.0
"""Seconds that may lie between the two that are compared."""

Begin = Callable[[Job], Execution]
Finish = Callable[[Job, Execution], None]


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture(autouse=True)
def _both_have_the_same_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (executions, bookkeeping):
        monkeypatch.setattr(module, "uuid4", lambda: EXECUTION)


def rq(redis: Redis) -> tuple[Begin, Finish]:
    # RQ takes a job off the list of those on the way only where a worker has one queue.
    _, routine = delivery_queues(redis)
    worker = SimpleWorker([routine], name=WORKER, connection=redis, serializer=JSONSerializer)

    def begin(job: Job) -> Execution:
        execution = worker.prepare_execution(job)
        worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
        return execution

    def finish(job: Job, execution: Execution) -> None:
        job.ended_at = job.started_at
        worker.handle_job_success(job, routine, routine.started_job_registry, execution)
        worker.set_state("idle")

    return begin, finish


def ours(redis: Redis) -> tuple[Begin, Finish]:
    books = Bookkeeping(
        redis, delivery_queues(redis), WORKER, f"{SimpleWorker.redis_worker_namespace_prefix}{WORKER}"
    )
    return books.begin, lambda job, execution: books.finish(job, execution, 0.0)


def taken(redis: Redis) -> Job:
    """A job that was queued by the receiver and has just been dequeued."""
    redis.flushdb()
    assert Enqueuer(redis).enqueue([change("point", delivery="one")])
    found = DeliveryQueue.dequeue_any(delivery_queues(redis), None, redis, serializer=JSONSerializer)
    assert found is not None
    return found[0]


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


def test_a_job_begins_as_in_rq(redis: Redis) -> None:
    begun = []
    for how in (rq, ours):
        begin, _ = how(redis)
        job = taken(redis)
        execution = begin(job)
        assert job.is_started
        assert execution.composite_key == f"{job.id}:{EXECUTION.hex}"
        begun.append(contents(redis))
    (values, numbers), (our_values, our_numbers) = begun
    assert any("execution:" in key for key in values)
    assert our_values == values
    assert our_numbers == pytest.approx(numbers, abs=LATE)


def test_a_job_ends_as_in_rq(redis: Redis) -> None:
    ended = []
    for how in (rq, ours):
        begin, finish = how(redis)
        job = taken(redis)
        finish(job, begin(job))
        assert not redis.exists(job.key)
        ended.append(contents(redis))
    (values, numbers), (our_values, our_numbers) = ended
    assert our_values == values
    assert our_numbers == pytest.approx(numbers, abs=LATE)


def test_what_is_done_is_counted(redis: Redis) -> None:
    begin, finish = ours(redis)
    job = taken(redis)
    finish(job, begin(job))
    assert delivered_in_last_hour(redis) == 1


def test_a_job_whose_data_are_gone_is_passed_over(redis: Redis) -> None:
    redis.flushdb()
    assert Enqueuer(redis).enqueue([change("point", delivery="one")])
    _, routine = delivery_queues(redis)
    redis.lpush(routine.key, "gone")
    job, queue = DeliveryQueue.dequeue_any(
        delivery_queues(redis), None, redis, serializer=JSONSerializer
    ) or (None, None)
    assert job is not None
    assert queue == routine
    assert redis.lrange(routine.intermediate_queue_key, 0, -1) == [job.id.encode()]


def test_what_is_left_of_a_job_that_was_done_twice_holds_nothing_up(redis: Redis) -> None:
    # The one who finishes first deletes the job, and the other still notes something in it.
    left = taken(redis)
    _, routine = delivery_queues(redis)
    redis.delete(left.key, routine.intermediate_queue_key)
    redis.hset(left.key, "status", "queued")
    redis.lpush(routine.key, left.id)
    assert Enqueuer(redis).enqueue([change("point", delivery="two")])
    found = DeliveryQueue.dequeue_any(delivery_queues(redis), None, redis, serializer=JSONSerializer)
    assert found is not None
    assert found[0].id != left.id
    assert not redis.exists(left.key)
    assert redis.lrange(routine.intermediate_queue_key, 0, -1) == [found[0].id.encode()]
