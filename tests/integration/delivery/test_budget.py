"""The budget and the pause that all workers share, and dequeuing by their rules; time is the test's own."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from apitraffic_events.errors import RateLimit
from apitraffic_events.event import Event, EventType
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.delivery.budget import BUDGET, MARGIN, PAUSE, PROVISIONAL_WINDOW, BudgetExhausted, RequestBudget
from receiver.events import Change, DeliveryReference, Effect
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import BELL, delivery_queues
from receiver.worker.dequeued import Dequeued
from receiver.worker.job_queue import LONGEST_WAIT, JobQueue
from receiver.worker.recovery import Recovery, worker_name
from receiver.worker.worker import DeliveryWorker
from tests.support.redis import running_redis

NOON = 1_800_000_000.0
NUMBERS = count(1)


class Clock:
    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> float:
        return self.moment


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    folder: Path = tmp_path_factory.mktemp("budget")
    with running_redis(folder / "redis") as url:
        yield connect(url)


@pytest.fixture
def redis(shared_redis: Redis) -> Redis:
    shared_redis.flushdb()
    return shared_redis


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(redis: Redis, clock: Clock) -> RequestBudget:
    return RequestBudget(redis, clock)


def told(limit: int, remaining: int, in_seconds: float, at: float = NOON) -> RateLimit:
    return RateLimit(limit, remaining, datetime.fromtimestamp(at + in_seconds, tz=UTC))


def permits(budget: RequestBudget, *, is_urgent: bool, most: int = 1_000) -> int:
    """How many requests are permitted before one is not."""
    for number in range(most):
        try:
            with budget.delivering(is_urgent=is_urgent):
                budget.before_request()
        except BudgetExhausted:
            return number
    return most


def remaining(redis: Redis) -> int:
    return int(redis.hget(BUDGET, "remaining") or -1)


def change_of(kind: EventType, effect: Effect) -> Change:
    number = next(NUMBERS)
    at = datetime(2026, 1, 10, tzinfo=UTC)
    return Change(
        key=f"test:{number}",
        effect=effect,
        occurred_at=at,
        event=Event(type=kind, name=f"Number {number}", started_at=at),
        delivery=DeliveryReference(source="events", id=f"delivery-{number}", event="event"),
    )


def queue_routine(redis: Redis) -> str:
    change = change_of(EventType.DEPLOYMENT, Effect.POINT)
    assert Enqueuer(redis).enqueue([change])
    return f"events-{change.delivery.id}-0"


def queue_urgent(redis: Redis) -> str:
    change = change_of(EventType.INCIDENT, Effect.OPEN)
    assert Enqueuer(redis).enqueue([change])
    return f"events-{change.delivery.id}-0"


def take(redis: Redis) -> str | None:
    taken = taken_from(redis)
    return taken.job.id if taken else None


def taken_from(redis: Redis) -> Dequeued | None:
    return JobQueue(redis, delivery_queues(redis), "taker", "taker").dequeue()


def take_a_routine_one(redis: Redis, budget: RequestBudget) -> Dequeued:
    """With half of a budget of 100 left."""
    budget.after_answer(told(limit=100, remaining=50, in_seconds=60, at=now().timestamp()))
    queue_routine(redis)
    taken = taken_from(redis)
    assert taken is not None
    return taken


def wait_for_job(worker: DeliveryWorker) -> str | None:
    """What it does when idle."""
    dequeued = worker.dequeue_job_and_maintain_ttl(1)
    return dequeued[0].id if dequeued else None


class TestBudget:
    def test_nothing_is_held_back_before_the_api_has_named_a_limit(self, budget: RequestBudget) -> None:
        assert permits(budget, is_urgent=False, most=50) == 50

    def test_a_tenth_is_left_for_what_is_urgent(self, budget: RequestBudget) -> None:
        budget.after_answer(told(limit=100, remaining=100, in_seconds=60))
        assert permits(budget, is_urgent=False) == 90
        assert permits(budget, is_urgent=True) == 10
        assert permits(budget, is_urgent=True) == 0

    @pytest.mark.parametrize(("limit", "kept"), [(1, 1), (9, 1), (10, 1), (11, 2), (1_000, 100)])
    def test_the_tenth_is_rounded_up(self, budget: RequestBudget, limit: int, kept: int) -> None:
        budget.after_answer(told(limit=limit, remaining=limit, in_seconds=60))
        assert permits(budget, is_urgent=False) == limit - kept
        assert permits(budget, is_urgent=True) == kept

    def test_what_is_not_sent_is_told_when_to_come_again(self, budget: RequestBudget, clock: Clock) -> None:
        budget.after_answer(told(limit=100, remaining=0, in_seconds=60))
        clock.moment += 45
        with pytest.raises(BudgetExhausted) as raised:
            budget.before_request()
        assert raised.value.retry_after == pytest.approx(15 + MARGIN, abs=0.01)

    def test_outside_a_delivery_a_request_is_urgent(self, budget: RequestBudget) -> None:
        budget.after_answer(told(limit=100, remaining=1, in_seconds=60))
        with budget.delivering(is_urgent=False), pytest.raises(BudgetExhausted):
            budget.before_request()
        budget.before_request()

    def test_many_workers_at_once_never_exceed_a_window(self, redis: Redis, clock: Clock) -> None:
        """Counted here by themselves: what each got, not what Redis says."""
        RequestBudget(redis, clock).after_answer(told(limit=200, remaining=200, in_seconds=60))
        with ThreadPoolExecutor(16) as pool:
            own = [RequestBudget(redis, clock) for _ in range(16)]
            routine = sum(pool.map(lambda one: permits(one, is_urgent=False), own))
            urgent = sum(pool.map(lambda one: permits(one, is_urgent=True), own))
        assert (routine, urgent) == (180, 20)

    def test_answers_of_many_workers_in_any_order_do_not_raise_the_budget(
        self, redis: Redis, clock: Clock
    ) -> None:
        """An API that counts by itself: it must never be asked more often than it allows."""
        limit, lock, granted, refused = 120, threading.Lock(), count(1), []
        RequestBudget(redis, clock).after_answer(told(limit=limit, remaining=limit, in_seconds=60))

        def work(worker: RequestBudget) -> None:
            while True:
                try:
                    with worker.delivering(is_urgent=True):
                        worker.before_request()
                except BudgetExhausted:
                    return
                with lock:
                    number = next(granted)
                if number > limit:
                    refused.append(number)
                time.sleep(0.001 * (number % 7))  # answers overtake each other
                worker.after_answer(told(limit=limit, remaining=limit - number, in_seconds=60))

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(work, [RequestBudget(redis, clock) for _ in range(12)]))
        assert refused == []
        assert next(granted) == limit + 1

    def test_another_user_of_the_same_token_is_noticed(self, redis: Redis, budget: RequestBudget) -> None:
        budget.after_answer(told(limit=100, remaining=100, in_seconds=60))
        budget.after_answer(told(limit=100, remaining=30, in_seconds=60))
        assert remaining(redis) == 30

    def test_an_answer_that_was_overtaken_gives_nothing_back(
        self, redis: Redis, budget: RequestBudget
    ) -> None:
        budget.after_answer(told(limit=100, remaining=40, in_seconds=60))
        budget.after_answer(told(limit=100, remaining=90, in_seconds=60))
        assert remaining(redis) == 40

    def test_an_answer_from_a_window_that_is_over_says_nothing(
        self, redis: Redis, budget: RequestBudget
    ) -> None:
        budget.after_answer(told(limit=100, remaining=70, in_seconds=3_600))
        budget.after_answer(told(limit=100, remaining=0, in_seconds=0))
        assert remaining(redis) == 70

    def test_the_next_window_begins_after_the_margin_and_is_provisional(
        self, redis: Redis, budget: RequestBudget, clock: Clock
    ) -> None:
        budget.after_answer(told(limit=100, remaining=0, in_seconds=60))
        clock.moment += 60 + MARGIN - 0.01
        assert permits(budget, is_urgent=True) == 0
        clock.moment += 0.02
        assert permits(budget, is_urgent=False) == 90
        assert redis.hget(BUDGET, "provisional") == b"1"
        assert float(redis.hget(BUDGET, "reset") or 0) == pytest.approx(clock() + PROVISIONAL_WINDOW)

    def test_many_workers_begin_the_next_window_once(self, redis: Redis, clock: Clock) -> None:
        RequestBudget(redis, clock).after_answer(told(limit=100, remaining=0, in_seconds=60))
        clock.moment += 61
        with ThreadPoolExecutor(16) as pool:
            own = [RequestBudget(redis, clock) for _ in range(16)]
            assert sum(pool.map(lambda one: permits(one, is_urgent=True), own)) == 100

    def test_the_first_answer_ends_what_was_provisional_and_keeps_count(
        self, redis: Redis, budget: RequestBudget, clock: Clock
    ) -> None:
        budget.after_answer(told(limit=100, remaining=0, in_seconds=60))
        clock.moment += 61
        assert permits(budget, is_urgent=True, most=5) == 5
        budget.after_answer(told(limit=100, remaining=99, in_seconds=3_600, at=clock()))
        assert remaining(redis) == 95
        assert redis.hget(BUDGET, "provisional") == b"0"
        clock.moment += PROVISIONAL_WINDOW + 1
        assert permits(budget, is_urgent=True) == 95

    def test_a_provisional_window_without_an_answer_ends(self, budget: RequestBudget, clock: Clock) -> None:
        budget.after_answer(told(limit=10, remaining=0, in_seconds=60))
        clock.moment += 61
        assert permits(budget, is_urgent=True) == 10
        clock.moment += PROVISIONAL_WINDOW + 1
        assert permits(budget, is_urgent=True) == 10

    def test_a_refusal_for_want_of_budget_stops_all(
        self, redis: Redis, budget: RequestBudget, clock: Clock
    ) -> None:
        """Whatever was counted: the API knows better."""
        budget.after_answer(told(limit=100, remaining=80, in_seconds=3_600))
        budget.use_up(30)
        other = RequestBudget(redis, clock)
        assert permits(other, is_urgent=True) == 0
        clock.moment += 30 + MARGIN + 0.01
        assert permits(other, is_urgent=True) > 0

    def test_an_answer_that_was_under_way_does_not_lift_a_refusal(
        self, budget: RequestBudget, clock: Clock
    ) -> None:
        """Made before the refusal, arrived after it, both of the same window."""
        budget.after_answer(told(limit=100, remaining=1, in_seconds=30))
        budget.use_up(30)
        budget.after_answer(told(limit=100, remaining=1, in_seconds=30))
        assert permits(budget, is_urgent=True) == 0


class TestPause:
    def test_only_the_first_to_pause_and_to_resume_is_told_so(self, redis: Redis, clock: Clock) -> None:
        """So that one worker of many shouts."""
        with ThreadPoolExecutor(8) as pool:
            own = [RequestBudget(redis, clock) for _ in range(8)]
            assert sum(pool.map(lambda one: one.pause("401", 60), own)) == 1
            assert sum(pool.map(lambda one: one.resume(), own)) == 1
        assert own[0].pause("401", 60)

    def test_a_later_refusal_makes_the_pause_longer(
        self, redis: Redis, budget: RequestBudget, clock: Clock
    ) -> None:
        assert budget.pause("401", 60)
        clock.moment += 50
        assert not budget.pause("403", 60)
        assert float(redis.hget(PAUSE, "until") or 0) == pytest.approx(clock() + 60)
        assert redis.hget(PAUSE, "reason") == b"403"

    def test_a_pause_does_not_outlive_those_who_forgot_it(self, redis: Redis, budget: RequestBudget) -> None:
        budget.pause("401", 60)
        assert 0 < redis.ttl(PAUSE) <= 3_600


@contextmanager
def at_a_bell(redis: Redis) -> Iterator[None]:
    """Inside, somebody waits for it."""
    deadline = time.monotonic() + 5
    while not int(redis.info("clients")["blocked_clients"]):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.002)
    yield


class TestDequeue:
    """Whether there is budget for a job is looked at by the real clock here."""

    def test_what_is_urgent_overtakes(self, redis: Redis) -> None:
        routine = [queue_routine(redis) for _ in range(3)]
        urgent = [queue_urgent(redis) for _ in range(2)]
        assert [take(redis) for _ in range(6)] == [*urgent, *routine, None]

    @pytest.mark.parametrize("effect", [Effect.CLOSE, Effect.REOPEN])
    def test_so_does_what_ends_or_reopens(self, redis: Redis, effect: Effect) -> None:
        routine = queue_routine(redis)
        change = change_of(EventType.DEPLOYMENT, effect)
        assert Enqueuer(redis).enqueue([change])
        assert take(redis) == f"events-{change.delivery.id}-0"
        assert take(redis) == routine

    def test_with_only_the_reserve_left_the_routine_waits(self, redis: Redis) -> None:
        at = now().timestamp()
        RequestBudget(redis).after_answer(told(limit=100, remaining=10, in_seconds=60, at=at))
        queue_routine(redis)
        assert take(redis) is None
        urgent = queue_urgent(redis)
        assert take(redis) == urgent

    def test_with_no_budget_left_all_wait_until_it_begins_anew(self, redis: Redis) -> None:
        at = now().timestamp()
        RequestBudget(redis).after_answer(told(limit=100, remaining=0, in_seconds=60, at=at))
        urgent = queue_urgent(redis)
        assert take(redis) is None
        redis.hset(BUDGET, "reset", at - MARGIN - 0.01)
        assert take(redis) == urgent

    def test_a_job_is_dequeued_with_a_permit_for_its_first_request(self, redis: Redis) -> None:
        budget = RequestBudget(redis)
        taken = take_a_routine_one(redis, budget)
        assert remaining(redis) == 49
        budget.use_prefetched(taken.permit)
        with budget.delivering(is_urgent=False):
            budget.before_request()
            assert remaining(redis) == 49
            budget.before_request()
        assert remaining(redis) == 48

    def test_what_needs_no_request_gives_its_permit_back(self, redis: Redis) -> None:
        budget = RequestBudget(redis)
        taken = take_a_routine_one(redis, budget)
        budget.use_prefetched(taken.permit)
        with budget.delivering(is_urgent=False):
            assert remaining(redis) == 49
        assert remaining(redis) == 50
        with budget.delivering(is_urgent=False):
            pass
        assert remaining(redis) == 50

    def test_no_permit_is_given_back_to_another_window(self, redis: Redis) -> None:
        budget = RequestBudget(redis)
        taken = take_a_routine_one(redis, budget)
        budget.after_answer(told(limit=100, remaining=70, in_seconds=120, at=now().timestamp()))
        budget.use_prefetched(taken.permit)
        with budget.delivering(is_urgent=False):
            pass
        assert remaining(redis) == 70

    def test_workers_take_no_more_than_may_be_sent(self, redis: Redis) -> None:
        at = now().timestamp()
        RequestBudget(redis).after_answer(told(limit=10, remaining=5, in_seconds=60, at=at))
        routine = [queue_routine(redis) for _ in range(6)]
        urgent = queue_urgent(redis)
        assert [take(redis) for _ in range(6)] == [urgent, *routine[:3], None, None]

    def test_nothing_is_dequeued_while_delivery_is_paused(self, redis: Redis) -> None:
        budget = RequestBudget(redis)
        budget.pause("401", 60)
        urgent, routine = queue_urgent(redis), queue_routine(redis)
        assert take(redis) is None
        budget.resume()
        assert [take(redis), take(redis)] == [urgent, routine]

    def test_a_pause_that_is_over_holds_nothing_up(self, redis: Redis) -> None:
        RequestBudget(redis).pause("401", -1)
        routine = queue_routine(redis)
        assert take(redis) == routine

    def test_many_workers_take_each_job_once(self, redis: Redis) -> None:
        queued = {queue_routine(redis) for _ in range(60)} | {queue_urgent(redis) for _ in range(20)}
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda _: take(redis), range(90)))
        assert sorted(one for one in taken if one) == sorted(queued)

    @pytest.mark.parametrize("ring", [queue_urgent, queue_routine])
    def test_an_idle_worker_is_woken_by_the_bell(self, redis: Redis, ring: Callable[[Redis], str]) -> None:
        """And not only when it looks by itself, which it does every `LONGEST_WAIT`."""
        waits, idle = [], DeliveryWorker(redis, RequestBudget(redis))
        for _ in range(3):
            redis.delete(BELL)
            with ThreadPoolExecutor(1) as pool:
                taken = pool.submit(wait_for_job, idle)
                with at_a_bell(redis):
                    began = time.monotonic()
                    queued = ring(redis)
                assert taken.result(timeout=10) == queued
                waits.append(time.monotonic() - began)
        assert min(waits) < 0.5 < LONGEST_WAIT

    def test_what_is_put_back_without_a_bell_is_found_soon(self, redis: Redis) -> None:
        _, routine = delivery_queues(redis)
        queued = queue_routine(redis)
        redis.lrem(routine.key, 1, queued)
        redis.delete(BELL)
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(wait_for_job, DeliveryWorker(redis, RequestBudget(redis)))
            with at_a_bell(redis):
                redis.rpush(routine.key, queued)
            assert taken.result(timeout=LONGEST_WAIT + 5) == queued

    def test_a_job_without_its_data_is_passed_over(self, redis: Redis) -> None:
        lost, kept = queue_routine(redis), queue_routine(redis)
        assert redis.delete(Job.key_for(lost))
        assert take(redis) == kept

    @pytest.mark.parametrize("ring", [queue_urgent, queue_routine])
    def test_what_a_process_had_just_dequeued_when_it_died_is_put_back_first(
        self, redis: Redis, ring: Callable[[Redis], str]
    ) -> None:
        queued, later = ring(redis), ring(redis)
        queues = delivery_queues(redis)
        assert take(redis) == queued
        for queue in queues:
            Recovery(queue, worker_name("next")).requeue_abandoned()
        assert [job_id for queue in queues for job_id in queue.job_ids] == [queued, later]
        assert _status(queues, queued) is JobStatus.QUEUED
        assert [take(redis), take(redis), take(redis)] == [queued, later, None]


def _status(queues: tuple[Queue, Queue], job_id: str) -> JobStatus | None:
    job = queues[0].fetch_job(job_id) or queues[1].fetch_job(job_id)
    return job.get_status() if job else None


def test_a_backlog_is_delivered_without_one_refusal(redis: Redis, clock: Clock) -> None:
    """Ten windows of an API that counts by itself, each begun by the first request after the last one."""
    limit, window = 50, 3_600.0
    used, reset, refused, sent = 0, clock() + window, 0, 0
    workers = [RequestBudget(redis, clock) for _ in range(3)]
    end = clock() + 10 * window
    while clock() < end:
        worker = workers[sent % 3]
        try:
            with worker.delivering(is_urgent=False):
                worker.before_request()
        except BudgetExhausted as paced:
            clock.moment += paced.retry_after or window
            continue
        if clock() >= reset:
            used, reset = 0, clock() + window
        used += 1
        refused += used > limit
        sent += 1
        clock.moment += timedelta(milliseconds=20).total_seconds()
        rounded = datetime.fromtimestamp(int(reset) + 1, tz=UTC)
        worker.after_answer(RateLimit(limit, limit - used, rounded))
    assert refused == 0
    assert sent >= 0.9 * 10 * 45
