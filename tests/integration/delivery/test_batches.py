"""Several jobs at once: what is taken, what becomes of the rest, and what a dead worker leaves."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count

import pytest
from redis import Redis
from rq import Retry
from rq.job import Job

from apitraffic_events.client import EventsClient
from receiver.datastore.address import connect
from receiver.datastore.keys import LOCK_PREFIX, MARKER_PREFIX
from receiver.delivery.budget import BUDGET, RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue, delivery_queues
from receiver.queue.throughput import delivered_in_last_hour
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.dequeued import Dequeued
from receiver.worker.job_queue import JobQueue
from receiver.worker.recovery import Recovery
from receiver.worker.resources import RunJob, ThreadResources
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import at, change
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use

WORKER = "the-worker"
WORKER_KEY = f"{DeliveryWorker.redis_worker_namespace_prefix}{WORKER}"
SETTLE = timedelta(seconds=1)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    redis = connect(redis_url)
    long_in_use(redis)
    return redis


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def client(api: LocalApi) -> Iterator[EventsClient]:
    api.set_faults([])
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        for event in client.iter_events():
            client.delete_event(event.sid)
        yield client


def job_queue_of(redis: Redis) -> JobQueue:
    return JobQueue(redis, delivery_queues(redis), WORKER, WORKER_KEY)


def point(key: str) -> Change:
    return change("point", key=key, delivery=key, metadata={"marker_key": key}, started_at=at(0))


def queue(redis: Redis, *keys: str) -> list[str]:
    """The ids of their jobs."""
    for key in keys:
        assert Enqueuer(redis).enqueue([point(key)])
    return routine(redis)[-len(keys) :]


def routine(redis: Redis) -> list[str]:
    return [str(job_id) for job_id in delivery_queue(redis).job_ids]


def in_work(redis: Redis) -> list[str]:
    ids = delivery_queue(redis).started_job_registry.get_job_and_execution_ids(cleanup=False)
    return [job_id for job_id, _ in ids]


def ids(jobs: list[Dequeued]) -> list[str]:
    return [dequeued.id for dequeued in jobs]


def listed(client: EventsClient) -> list[str]:
    return sorted(str(event.metadata["marker_key"]) for event in client.iter_events())


def set_remaining(redis: Redis, requests: int) -> None:
    """Of 100, a tenth of which is for urgent changes."""
    told = {"limit": "100", "remaining": str(requests), "reset": "9999999999", "provisional": "0"}
    for field, value in told.items():
        redis.hset(BUDGET, field, value)


def before_second(worker: DeliveryWorker, happens: Callable[[], object]) -> None:
    """Let it happen when the worker has delivered one job, and before the next, which come as a batch."""
    deliver, jobs = worker.run_job, count()
    assert deliver is not None

    def run(dequeued: Dequeued) -> Retry | None:
        if next(jobs) == 1:
            happens()
        return deliver(dequeued)

    worker.run_job = run


def attempts(client: EventsClient, markers: MarkerStore, budget: RequestBudget) -> RunJob:
    return DeliveryAttempts(Deliverer(client, markers, budget, settle=SETTLE)).make


def worker_of(redis: Redis, client: EventsClient, helpers: int = 0) -> DeliveryWorker:
    budget = RequestBudget(redis)
    worker = DeliveryWorker(redis, budget)
    worker.run_job = attempts(client, worker.markers, budget)

    def resources(budget: RequestBudget) -> ThreadResources:
        return ThreadResources(budget, lambda markers: attempts(client, markers, budget))

    worker.employ([resources(budget.for_another_thread()) for _ in range(helpers)])
    return worker


class TestTaking:
    def test_jobs_come_in_their_order_urgent_ones_first(self, redis: Redis) -> None:
        first, second = queue(redis, "a", "b")
        assert Enqueuer(redis).enqueue([change("close", key="c", delivery="c")])
        urgent, _ = delivery_queues(redis)
        expected = [*map(str, urgent.job_ids), first, second]
        assert ids(job_queue_of(redis).dequeue_some(10)) == expected

    def test_each_is_of_another_marker(self, redis: Redis) -> None:
        first, second = queue(redis, "a", "b")
        assert Enqueuer(redis).enqueue([change("update", key="a", delivery="a2")])
        (third,) = routine(redis)[2:]
        job_queue = job_queue_of(redis)
        assert ids(job_queue.dequeue_some(10)) == [first, second]
        assert routine(redis) == [third]
        assert job_queue.dequeue_some(10) == []

    def test_a_locked_marker_lets_others_go_first(self, redis: Redis) -> None:
        busy, *free = queue(redis, "busy", "a", "b")
        with MarkerStore(redis, "another worker").locked(("busy",)):
            assert ids(job_queue_of(redis).dequeue_some(10)) == free
        assert routine(redis) == [busy]

    def test_no_more_are_taken_than_requests_may_be_made(self, redis: Redis) -> None:
        queued = queue(redis, "a", "b", "c", "d")
        set_remaining(redis, 12)
        assert ids(job_queue_of(redis).dequeue_some(10)) == queued[:2]
        assert redis.hget(BUDGET, "remaining") == b"10"

    def test_one_that_an_earlier_version_queued_is_taken_with_the_others(
        self, redis: Redis, client: EventsClient
    ) -> None:
        queued = queue(redis, "a", "b", "c")
        redis.hdel(Job.key_for(queued[1]), "names")
        worker_of(redis, client, helpers=2).work(burst=True, logging_level="CRITICAL")
        assert listed(client) == ["a", "b", "c"]
        assert delivered_in_last_hour(redis) == 3


class TestGivingBack:
    def test_jobs_are_as_if_they_had_not_been_taken(self, redis: Redis) -> None:
        queued = queue(redis, "a", "b", "c", "d")
        set_remaining(redis, 50)
        job_queue = job_queue_of(redis)
        first, *rest = job_queue.dequeue_some(4)
        job_queue.give_back(rest)
        assert routine(redis) == queued[1:]
        assert in_work(redis) == [first.job.id]
        assert list(redis.keys(f"{LOCK_PREFIX}*")) == [f"{LOCK_PREFIX}a".encode()]
        assert redis.hget(BUDGET, "remaining") == b"49"
        assert list(job_queue.in_hand.jobs.values()) == [first]
        assert ids(job_queue_of(redis).dequeue_some(4)) == queued[1:]

    def test_one_that_somebody_has_taken_over_is_left_to_him(self, redis: Redis) -> None:
        queued = queue(redis, "a")
        job_queue = job_queue_of(redis)
        taken = job_queue.dequeue_some(1)
        redis.delete(WORKER_KEY)
        Recovery(delivery_queue(redis), "another").requeue_abandoned()
        taken_over = JobQueue(redis, delivery_queues(redis), "another", "another").dequeue()
        assert taken_over is not None
        job_queue.give_back(taken)
        assert routine(redis) == []
        assert in_work(redis) == queued
        assert taken_over.lock is not None
        assert redis.get(f"{LOCK_PREFIX}a") == taken_over.lock.token.encode()


class TestOneOfABatch:
    def test_finds_that_another_worker_has_paused_delivery(self, redis: Redis, client: EventsClient) -> None:
        """All go back before a request is made, in their order; nothing is in doubt, no attempt counted."""
        queued = queue(redis, "a", "b", "c", "d")
        worker, budget = worker_of(redis, client), RequestBudget(redis)
        before_second(worker, lambda: budget.pause("401 of another worker", 60))
        worker.work(burst=True, logging_level="CRITICAL")
        assert listed(client) == ["a"]
        assert routine(redis) == queued[1:]
        assert in_work(redis) == []
        assert {redis.hget(key, "in_doubt") for key in redis.keys(f"{MARKER_PREFIX}*")} == {b"0"}
        assert redis.keys(f"{LOCK_PREFIX}*") == []
        budget.resume()
        worker_of(redis, client).work(burst=True, logging_level="CRITICAL")
        assert listed(client) == ["a", "b", "c", "d"]

    @pytest.mark.parametrize("helpers", [0, 3])
    def test_is_to_be_retried(self, redis: Redis, client: EventsClient, api: LocalApi, helpers: int) -> None:
        queued = queue(redis, "a", "b", "c", "d", "e", "f")
        api.set_faults(["POST:status=503x1"])
        worker_of(redis, client, helpers).work(burst=True, logging_level="CRITICAL")
        retried = delivery_queue(redis).scheduled_job_registry.get_job_ids(cleanup=False)
        assert len(retried) == 1
        assert set(retried) < set(queued)
        assert routine(redis) == in_work(redis) == []
        assert len(listed(client)) == len(set(listed(client))) == 5
        assert delivered_in_last_hour(redis) == 5

    def test_makes_the_api_refuse_the_account(
        self, redis: Redis, client: EventsClient, api: LocalApi
    ) -> None:
        """The others wait in the queue, as they would have without a batch."""
        queued = queue(redis, "a", "b", "c", "d")
        worker = worker_of(redis, client)
        before_second(worker, lambda: api.set_faults(["POST:status=401x1"]))
        worker.work(burst=True, logging_level="CRITICAL")
        assert routine(redis) == queued[2:]
        assert listed(client) == ["a"]

    def test_makes_the_api_say_that_the_budget_is_used_up(
        self, redis: Redis, client: EventsClient, api: LocalApi
    ) -> None:
        queued = queue(redis, "a", "b", "c", "d")
        worker = worker_of(redis, client)
        before_second(worker, lambda: api.set_faults(["POST:status=429x1"]))
        worker.work(burst=True, logging_level="CRITICAL")
        assert routine(redis) == queued[2:]
        assert listed(client) == ["a"]


class TestADeadWorkersBatch:
    def test_is_put_back_in_its_order(self, redis: Redis) -> None:
        # Neither their ids nor the ids of their executions are in this order.
        queued = queue(redis, "d", "b", "c", "a", "f", "e")
        job_queue_of(redis).dequeue_some(5)
        redis.delete(WORKER_KEY)
        Recovery(delivery_queue(redis), "another").requeue_abandoned()
        assert routine(redis) == queued
        assert redis.keys(f"{LOCK_PREFIX}*") == []

    def test_of_which_some_were_delivered_and_none_acked_is_delivered_once(
        self, redis: Redis, client: EventsClient
    ) -> None:
        queued = queue(redis, "a", "b", "c", "d")
        job_queue, budget = job_queue_of(redis), RequestBudget(redis)
        markers = MarkerStore(
            redis,
            WORKER,
            releases_with_ack=True,
            held=job_queue.in_hand.locks,
            note_doubt=lambda save: save.send(redis),
        )
        deliver = attempts(client, markers, budget)
        for dequeued in job_queue.dequeue_some(4)[:2]:
            markers.use_prefetched(dequeued.lock)
            assert deliver(dequeued) is None
            job_queue.ack(dequeued, 0.0, markers.deferred_release())
        assert in_work(redis) == queued
        doubts = {key: redis.hget(f"{MARKER_PREFIX}{key}", "in_doubt") for key in "abcd"}
        assert doubts == {"a": b"1", "b": b"1", "c": b"0", "d": b"0"}
        redis.delete(WORKER_KEY)
        Recovery(delivery_queue(redis), "another").requeue_abandoned()
        assert routine(redis) == queued
        worker_of(redis, client, helpers=2).work(burst=True, logging_level="CRITICAL")
        assert listed(client) == ["a", "b", "c", "d"]


class TestThreadsOfOneWorker:
    def test_do_not_take_over_each_others_locks(self, redis: Redis) -> None:
        held: set[str] = set()
        one, other = (MarkerStore(redis, WORKER, held=held) for _ in range(2))
        with one.locked(("a",)), pytest.raises(Exception, match="a"), other.locked(("a",)):
            pass
        with other.locked(("a",)):
            pass

    def test_put_nothing_back_that_one_of_them_is_at(self, redis: Redis) -> None:
        queue(redis, "a", "b")
        job_queue = job_queue_of(redis)
        taken = job_queue.dequeue_some(2)
        recovery = Recovery(delivery_queue(redis), WORKER)
        recovery.requeue_abandoned(set(job_queue.in_hand.jobs))
        assert routine(redis) == []
        job_queue.in_hand.done_with(taken[0])
        recovery.requeue_abandoned(set(job_queue.in_hand.jobs))
        assert routine(redis) == [taken[0].job.id]
