"""Jobs that a dead worker left are put back, those of a living one are not; what is due is queued."""

import os
import socket
import subprocess
from datetime import UTC, datetime

import pytest
from redis import Redis
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import as_text

from receiver.enqueueing import Enqueuer
from receiver.events import Change, DeliveryReference, Effect, Event, EventType
from receiver.markers import LOCK_PREFIX, MarkerStore
from receiver.queues import connect, delivery_queue
from receiver.recovery import Recovery, place_of_process_ids, worker_name
from receiver.timestamps import now
from receiver.worker import DeliveryWorker

KEY = "github:acme/shop:deployment:1"
OWN_NAME = worker_name("own")


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def recovery(redis: Redis) -> Recovery:
    return Recovery(delivery_queue(redis), OWN_NAME)


@pytest.fixture
def job(redis: Redis) -> Job:
    """A queued job, as the receiver makes it."""
    at = datetime(2026, 1, 10, tzinfo=UTC)
    reference = DeliveryReference(source="github", id="d-1", event="deployment_status")
    event = Event(type=EventType.DEPLOYMENT, name="Deploy", started_at=at)
    change = Change(key=KEY, effect=Effect.POINT, occurred_at=at, event=event, delivery=reference)
    assert Enqueuer(redis).enqueue([change])
    (queued,) = delivery_queue(redis).jobs
    return queued


def take(redis: Redis, worker: str, *, is_started: bool = True) -> None:
    """What a worker of this name does with the first job before it runs it."""
    queue = delivery_queue(redis)
    job_id = redis.blmove(queue.key, queue.intermediate_queue_key, 1)
    assert job_id is not None
    if is_started:
        job = queue.fetch_job(as_text(job_id))
        assert job is not None
        with redis.pipeline() as pipeline:
            Execution.create(job, 300, pipeline=pipeline, worker_name=worker)
            job.set_status(JobStatus.STARTED, pipeline=pipeline)
            pipeline.execute()


def register(redis: Redis, worker: str) -> None:
    key = DeliveryWorker.redis_worker_namespace_prefix + worker
    redis.hset(key, mapping={"last_heartbeat": "2026-01-10T10:00:00.000000Z"})
    redis.sadd(DeliveryWorker.redis_workers_keys, key)
    redis.sadd("apitraffic:rq:workers:deliveries", key)


def dead_process_id() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_dead_workers_job_is_queued_again(redis: Redis, recovery: Recovery, job: Job) -> None:
    worker = f"{place_of_process_ids()}.{dead_process_id()}.abc"
    register(redis, worker)
    take(redis, worker)
    with MarkerStore(redis, worker).opened((KEY,)):
        recovery.requeue_abandoned()
        assert not redis.exists(LOCK_PREFIX + KEY)
    assert delivery_queue(redis).job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED
    assert delivery_queue(redis).started_job_registry.get_job_count(cleanup=False) == 0
    assert delivery_queue(redis).intermediate_queue.get_job_ids() == []


def test_an_earlier_life_of_this_process_is_dead(redis: Redis, recovery: Recovery, job: Job) -> None:
    """A container that starts anew has the same host name and process id."""
    worker = worker_name("earlier")
    register(redis, worker)
    take(redis, worker)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


@pytest.mark.parametrize("name", ["own", "living", "elsewhere", "in another container of this host's name"])
def test_a_living_workers_job_is_left(redis: Redis, recovery: Recovery, job: Job, name: str) -> None:
    worker = {
        "own": OWN_NAME,
        "living": f"{place_of_process_ids()}.{os.getppid()}.abc",
        "elsewhere": "another-host.12.abc",
        "in another container of this host's name": f"{socket.gethostname()}-12345678-4026531836.1.abc",
    }[name]
    register(redis, worker)
    take(redis, worker)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == []
    assert delivery_queue(redis).started_job_registry.get_job_count(cleanup=False) == 1


def test_a_worker_elsewhere_without_a_sign_of_life_is_dead(
    redis: Redis, recovery: Recovery, job: Job
) -> None:
    take(redis, "another-host.12.abc")
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


def test_a_job_whose_execution_ran_out_is_queued_again(redis: Redis, recovery: Recovery, job: Job) -> None:
    """RQ says that a retry is scheduled before it schedules it; a worker that dies in between leaves this."""
    take(redis, "another-host.12.abc")
    for key in redis.keys("apitraffic:rq:execution:*"):
        redis.delete(key)
    job.set_status(JobStatus.SCHEDULED)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED


def test_a_job_lost_on_the_way_is_found_at_once_by_a_lone_worker(
    redis: Redis, recovery: Recovery, job: Job
) -> None:
    take(redis, "unknown", is_started=False)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


def test_a_job_on_the_way_to_another_worker_is_given_time(redis: Redis, recovery: Recovery, job: Job) -> None:
    register(redis, f"{place_of_process_ids()}.{os.getppid()}.abc")
    take(redis, "unknown", is_started=False)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == []
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


def test_two_workers_put_a_job_back_once(redis: Redis, recovery: Recovery, job: Job) -> None:
    take(redis, "another-host.12.abc")
    other = Recovery(delivery_queue(redis), worker_name("second"))
    recovery.requeue_abandoned()
    other.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


def test_only_what_is_due_is_queued(redis: Redis, recovery: Recovery, job: Job) -> None:
    queue = delivery_queue(redis)
    take(redis, "unknown", is_started=False)
    redis.delete(queue.intermediate_queue_key)
    redis.zadd(queue.scheduled_job_registry.key, {job.id: now().timestamp() + 60, "vanished": 1.0})
    assert recovery.enqueue_due() == 1
    assert queue.job_ids == []
    redis.zadd(queue.scheduled_job_registry.key, {job.id: now().timestamp() - 1})
    assert recovery.enqueue_due() == 1
    assert queue.job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED
    assert recovery.enqueue_due() == 0
