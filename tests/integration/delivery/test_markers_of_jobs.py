"""A job is dequeued with the lock of its marker, which is saved and released with the job's ack."""

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from redis import Redis
from rq.job import Job

from apitraffic_events.client import EventsClient
from receiver.datastore.address import connect
from receiver.datastore.keys import ALIAS_PREFIX, LOCK_PREFIX, MARKER_PREFIX
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.markers import Marker
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue, delivery_queues
from receiver.queue.throughput import delivered_in_last_hour
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.dequeued import Dequeued
from receiver.worker.job_queue import JobQueue
from receiver.worker.recovery import Recovery
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import KEY, at, change
from tests.support.local_api import running_local_api

WORKER = "the worker"
WORKER_KEY = f"{DeliveryWorker.redis_worker_namespace_prefix}{WORKER}"
"""Without it the worker is dead."""
LOCK = LOCK_PREFIX + KEY


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def markers(redis: Redis) -> MarkerStore:
    return MarkerStore(redis, WORKER, releases_with_ack=True)


@pytest.fixture
def job_queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, delivery_queues(redis), WORKER, WORKER_KEY)


def queue(redis: Redis, *changes: Change) -> None:
    for each in changes:
        assert Enqueuer(redis).enqueue([each])


def dequeued(job_queue: JobQueue) -> Dequeued:
    found = job_queue.dequeue()
    assert found is not None
    return found


def in_work(redis: Redis) -> list[str]:
    ids = delivery_queue(redis).started_job_registry.get_job_and_execution_ids(cleanup=False)
    return [job_id for job_id, _ in ids]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """In the log, wherever that goes to."""
    captured = capsys.readouterr()
    return captured.out + captured.err


def known(redis: Redis, whoever: str = "somebody") -> Marker:
    with MarkerStore(redis, whoever).locked((KEY,)) as lock:
        return lock.known


class TestDequeue:
    def test_it_is_locked_and_what_is_known_of_it_told(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore
    ) -> None:
        first = change("open")
        with MarkerStore(redis, "somebody").locked((KEY,)) as lock:
            lock.save_and_release(Marker(KEY, changes=(first,), sid="evt_1", sent=first.event))
        queue(redis, change("close", 5))
        reply = dequeued(job_queue).lock
        assert reply is not None
        assert redis.get(LOCK) == reply.token.encode()
        markers.use_prefetched(reply)
        with markers.locked((KEY,)) as lock:
            assert lock.known == Marker(KEY, changes=(first,), sid="evt_1", sent=first.event)
            assert redis.get(LOCK) == reply.token.encode()
        assert not redis.exists(LOCK)

    def test_it_is_found_by_all_of_its_names(self, redis: Redis, job_queue: JobQueue) -> None:
        names = ("run:7", "Grüße, 🚀 \"'\\ \u2028", "run 8")
        queue(redis, change("point").model_copy(update={"aliases": names}))
        reply = dequeued(job_queue).lock
        assert reply is not None
        assert reply.names == (KEY,)
        assert [redis.get(ALIAS_PREFIX + name) for name in names] == [KEY.encode()] * 3

    def test_a_name_that_neighbours_share_is_of_the_first(self, redis: Redis, job_queue: JobQueue) -> None:
        for key in ("deployment:1", "deployment:2"):
            queue(redis, change("point", key=key).model_copy(update={"claims": ("run:7",)}))
            found = dequeued(job_queue)
            reply = found.lock
            job_queue.in_hand.done_with(found)
            assert reply is not None
            assert reply.names == (key,)
            assert reply.claims == (("run:7",) if key == "deployment:1" else ())
        assert redis.get(ALIAS_PREFIX + "run:7") == b"deployment:1"

    def test_those_that_turn_out_to_be_one_are_told(self, redis: Redis, job_queue: JobQueue) -> None:
        for key in (KEY, "run:7"):
            redis.hset(MARKER_PREFIX + key, "in_doubt", "0")
        both = change("point").model_copy(update={"aliases": ("run:7",)})
        # Also a second time: nobody has merged them.
        queue(redis, both, both.model_copy(update={"delivery": change("point").delivery}))
        for _ in range(2):
            found = dequeued(job_queue)
            job_queue.in_hand.done_with(found)
            assert found.lock is not None
            assert found.lock.names == (KEY, "run:7")

    def test_names_that_an_earlier_version_queued_are_read(self, redis: Redis, job_queue: JobQueue) -> None:
        queue(redis, change("point"))
        (job_id,) = delivery_queue(redis).job_ids
        redis.hset(Job.key_for(job_id), "names", '["' + KEY + '", "run:7"]')
        reply = dequeued(job_queue).lock
        assert reply is not None
        assert reply.names == (KEY,)
        assert redis.get(ALIAS_PREFIX + "run:7") == KEY.encode()

    def test_while_another_is_at_it_its_job_waits_in_its_place(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore
    ) -> None:
        redis.set(LOCK, "another worker 0123")
        queue(redis, change("point"))
        assert job_queue.dequeue() is None
        assert len(delivery_queue(redis).job_ids) == 1
        redis.delete(LOCK)
        markers.use_prefetched(dequeued(job_queue).lock)
        with markers.locked((KEY,)):
            assert str(redis.get(LOCK)).startswith(f"b'{WORKER} ")

    def test_one_that_cannot_be_read_keeps_no_job_from_being_dequeued(
        self, redis: Redis, job_queue: JobQueue
    ) -> None:
        redis.set(MARKER_PREFIX + KEY, "not a hash")
        queue(redis, change("point"))
        found = dequeued(job_queue)
        assert found.lock is None
        assert in_work(redis) == [found.job.id]

    def test_a_job_that_an_earlier_version_queued_is_dequeued_without(
        self, redis: Redis, job_queue: JobQueue
    ) -> None:
        queue(redis, change("point"))
        (job_id,) = delivery_queue(redis).job_ids
        redis.hdel(Job.key_for(job_id), "names")
        assert dequeued(job_queue).lock is None
        assert not redis.exists(LOCK)

    def test_only_the_first_lock_was_dequeued_with_the_job(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore
    ) -> None:
        queue(redis, change("point"))
        markers.use_prefetched(dequeued(job_queue).lock)
        with markers.locked((KEY,)), markers.locked(("run:7",)) as other:
            assert other.known.key == "run:7"


class TestAck:
    def leave(self, job_queue: JobQueue, markers: MarkerStore) -> Marker:
        """A job that is done: its marker, whose release is deferred to the ack."""
        done = dequeued(job_queue)
        markers.use_prefetched(done.lock)
        with markers.locked((KEY,)) as lock:
            marker = lock.known.with_change(change("point"))
            lock.save_and_release(marker)
        job_queue.ack(done, 0.0, markers.deferred_release())
        return marker

    def test_it_is_saved_and_free_when_the_job_is_acked(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore
    ) -> None:
        queue(redis, change("point"))
        marker = self.leave(job_queue, markers)
        assert redis.exists(LOCK)
        job_queue.flush_acks()
        assert not redis.exists(LOCK)
        assert known(redis) == marker
        assert in_work(redis) == []

    def test_the_next_job_finds_it_so(self, redis: Redis, job_queue: JobQueue, markers: MarkerStore) -> None:
        queue(redis, change("point"), change("point", 5))
        marker = self.leave(job_queue, markers)
        reply = dequeued(job_queue).lock
        assert reply is not None
        assert reply.marker() == marker

    def test_where_it_is_not_ours_any_more_the_job_is_not_done(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        queue(redis, change("point"))
        (job_id,) = delivery_queue(redis).job_ids
        self.leave(job_queue, markers)
        redis.set(LOCK, "another worker 0123")
        job_queue.flush_acks()
        assert redis.get(LOCK) == b"another worker 0123"
        assert not redis.hexists(MARKER_PREFIX + KEY, "changes")
        assert in_work(redis) == [job_id]
        assert job_id in said(capsys)
        Recovery(delivery_queue(redis), WORKER).requeue_abandoned()
        assert delivery_queue(redis).job_ids == [job_id]

    def test_an_ack_that_is_sent_twice_counts_once(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # redis-py sends a command again where its connection broke before the answer.
        queue(redis, change("point"))
        done = dequeued(job_queue)
        markers.use_prefetched(done.lock)
        with markers.locked((KEY,)) as lock:
            lock.save_and_release(lock.known)
        deferred = markers.deferred_release()
        for _ in range(2):
            job_queue.ack(done, 0.0, deferred)
            job_queue.flush_acks()
        assert delivered_in_last_hour(redis) == 1
        assert "not acked" not in said(capsys)

    def test_a_job_that_fails_after_its_marker_was_closed_leaves_it_so(
        self, redis: Redis, job_queue: JobQueue, markers: MarkerStore
    ) -> None:
        queue(redis, change("point"))
        markers.use_prefetched(dequeued(job_queue).lock)
        with markers.locked((KEY,)) as lock:
            marker = lock.known.with_change(change("point"))
            lock.save_and_release(marker)
        markers.release()
        assert not redis.exists(LOCK)
        assert known(redis) == marker
        assert markers.deferred_release() is None


def test_a_job_that_cannot_be_read_keeps_its_marker_from_nobody(redis: Redis) -> None:
    """A newer version has queued it; one that can read it may be at work, too."""
    queue(redis, change("point"))
    (job_id,) = delivery_queue(redis).job_ids
    newer = b'["receiver.jobs.deliver",null,[{"what":"is this"}],{}]'
    redis.hset(Job.key_for(job_id), "data", newer)
    worker = DeliveryWorker(redis, RequestBudget(redis))
    worker.run_job = DeliveryAttempts(cast("Deliverer", None)).make
    worker.work(burst=True, logging_level="CRITICAL")
    assert job_id in delivery_queue(redis).scheduled_job_registry.get_job_ids(cleanup=False)
    assert not redis.exists(LOCK)


def test_a_job_that_cannot_be_read_is_put_back_from_a_dead_worker(redis: Redis, job_queue: JobQueue) -> None:
    queue(redis, change("point"))
    (job_id,) = delivery_queue(redis).job_ids
    redis.hset(Job.key_for(job_id), "data", "not what RQ can read")
    assert job_queue.dequeue() is not None
    assert redis.exists(LOCK)
    redis.delete(WORKER_KEY)
    Recovery(delivery_queue(redis), "another").requeue_abandoned()
    assert delivery_queue(redis).job_ids == [job_id]
    assert not redis.exists(LOCK)


def test_a_worker_that_dies_before_the_ack_leaves_an_event_that_is_found(
    redis: Redis, job_queue: JobQueue, markers: MarkerStore, tmp_path: Path
) -> None:
    created = change("point", metadata={"marker_key": KEY}, started_at=at(0))
    queue(redis, created)
    with (
        running_local_api(tmp_path) as api,
        EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client,
    ):
        settle = timedelta(seconds=30)
        markers.use_prefetched(dequeued(job_queue).lock)
        assert (
            Deliverer(client, markers, RequestBudget(redis), settle=settle).deliver(created)
            is Delivered.CREATED
        )
        assert known(redis, WORKER).is_in_doubt

        redis.delete(WORKER_KEY)
        Recovery(delivery_queue(redis), "another").requeue_abandoned()
        worker = DeliveryWorker(redis, RequestBudget(redis))
        deliverer = Deliverer(client, worker.markers, RequestBudget(redis), settle=settle)
        worker.run_job = DeliveryAttempts(deliverer).make
        worker.work(burst=True, logging_level="CRITICAL")
        assert len(list(client.iter_events())) == 1
        assert not known(redis).is_in_doubt
        assert in_work(redis) == []


def test_a_worker_locks_and_releases_the_markers_of_its_jobs(redis: Redis) -> None:
    worker = DeliveryWorker(redis, RequestBudget(redis))
    seen: list[tuple[Marker, bytes | None]] = []

    class Recording:
        """Stands for the deliverer."""

        def deliver(self, delivered: Change) -> Delivered:
            token = redis.get(LOCK)
            assert isinstance(token, bytes)
            with worker.markers.locked(delivered.names) as lock:
                seen.append((lock.known, token))
                lock.save_and_release(lock.known.with_change(delivered))
            return Delivered.CREATED

    first, second = change("open"), change("point", 5)
    queue(redis, first, second)
    worker.run_job = DeliveryAttempts(cast("Deliverer", Recording())).make
    worker.work(burst=True, logging_level="CRITICAL")
    assert [marker.changes for marker, _ in seen] == [(), (first,)]
    assert all(token.startswith(f"{worker.name} ".encode()) for _, token in seen if token)
    assert known(redis).changes == (first, second)
    assert not redis.exists(LOCK)
