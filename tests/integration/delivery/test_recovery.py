"""Jobs that a dead worker left are put back, those of a living one are not; what is due is queued."""

import os
import socket
import subprocess
from datetime import UTC, datetime

import pytest
from redis import Redis
from rq.job import Job, JobStatus

from apitraffic_events.event import Event, EventType
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.datastore.keys import LOCK_PREFIX
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change, DeliveryReference, Effect
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue, delivery_queues
from receiver.worker.job_queue import JobQueue
from receiver.worker.recovery import Recovery, place_of_process_ids, worker_name
from receiver.worker.worker import DeliveryWorker

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


def take(redis: Redis, worker: str) -> None:
    """What a worker of this name does with the first job before it runs it."""
    key = DeliveryWorker.redis_worker_namespace_prefix + worker
    is_registered = redis.exists(key)
    assert JobQueue(redis, delivery_queues(redis), worker, key).dequeue() is not None
    if not is_registered:
        redis.delete(key)


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
    with MarkerStore(redis, worker).locked((KEY,)):
        recovery.requeue_abandoned()
        assert not redis.exists(LOCK_PREFIX + KEY)
    assert delivery_queue(redis).job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED
    assert delivery_queue(redis).started_job_registry.get_job_count(cleanup=False) == 0


@pytest.mark.parametrize(("is_dead", "is_free"), [(True, True), (False, False)])
def test_a_lock_that_a_dead_worker_left_keeps_nobody_from_a_queued_job(
    redis: Redis, recovery: Recovery, job: Job, is_dead: bool, is_free: bool
) -> None:
    """As if it had not been able to release the lock, and had put the job off."""
    process_id = dead_process_id() if is_dead else os.getppid()
    worker = f"{place_of_process_ids()}.{process_id}.abc"
    register(redis, worker)
    redis.set(LOCK_PREFIX + KEY, f"{worker} 1")
    recovery.free_first_in_queue()
    assert bool(redis.exists(LOCK_PREFIX + KEY)) is not is_free
    other = JobQueue(redis, delivery_queues(redis), OWN_NAME, "apitraffic:rq:worker:own")
    dequeued = other.dequeue()
    assert (dequeued is not None) is is_free
    assert dequeued is None or dequeued.id == job.id


def test_an_earlier_life_of_this_process_is_dead(redis: Redis, recovery: Recovery, job: Job) -> None:
    """A container that starts anew has the same host name and process id."""
    worker = worker_name("earlier")
    register(redis, worker)
    take(redis, worker)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


@pytest.mark.parametrize("name", ["living", "elsewhere", "in another container of this host's name"])
def test_a_living_workers_job_is_left(redis: Redis, recovery: Recovery, job: Job, name: str) -> None:
    worker = {
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


def test_what_this_worker_has_in_work_between_two_jobs_was_taken_without_its_knowing(
    redis: Redis, recovery: Recovery, job: Job
) -> None:
    """Its connection broke after the job was taken and before it was told so."""
    register(redis, OWN_NAME)
    take(redis, OWN_NAME)
    recovery.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED


def test_two_workers_put_a_job_back_once(redis: Redis, recovery: Recovery, job: Job) -> None:
    take(redis, "another-host.12.abc")
    other = Recovery(delivery_queue(redis), worker_name("second"))
    recovery.requeue_abandoned()
    other.requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job.id]


def test_only_what_is_due_is_queued(redis: Redis, recovery: Recovery, job: Job) -> None:
    queue = delivery_queue(redis)
    redis.delete(queue.key)
    redis.zadd(queue.scheduled_job_registry.key, {job.id: now().timestamp() + 60, "vanished": 1.0})
    assert recovery.enqueue_due() == 1
    assert queue.job_ids == []
    redis.zadd(queue.scheduled_job_registry.key, {job.id: now().timestamp() - 1})
    assert recovery.enqueue_due() == 1
    assert queue.job_ids == [job.id]
    assert job.get_status() is JobStatus.QUEUED
    assert recovery.enqueue_due() == 0
