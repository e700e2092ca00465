"""What becomes a dead letter, what it keeps, and how it comes back: real Redis, real RQ, the real worker."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from rq.job import Job, JobStatus
from rq.results import Result

from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.datastore.keys import ALIAS_PREFIX, MARKER_PREFIX
from receiver.delivery.budget import BudgetExhausted, RequestBudget
from receiver.delivery.deliverer import Delivered, Deliverer
from receiver.delivery.retries import PATIENCE
from receiver.errors import StorageUnavailable
from receiver.events import Change
from receiver.queue import dead_letters as module
from receiver.queue.dead_letters import Cause, DeadLetter, DeadLetters
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import (
    DEAD_LETTER_LIFETIME,
    UNEXPECTED_RETRIES,
    delivery_queue,
    delivery_queues,
    job_id_stem,
)
from receiver.worker.attempts import ATTEMPTS, WAITED, DeliveryAttempts
from receiver.worker.recovery import Recovery
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import KEY, change
from tests.support.github import deployment_status, post
from tests.support.redis import RedisProcess, redis_process
from tests.support.stack import Stack
from tests.support.waiting import wait_until

REFUSAL = Rejected("endedAt is before startedAt", code="VALIDATION_ERROR", status=422)
OUTAGE = ServerFailed("boom", code="INTERNAL_ERROR", status=500)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return DeadLetters(delivery_queues(redis))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """One that may be stopped."""
    with redis_process(tmp_path / "redis") as process:
        yield process


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """RQ replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Scripted:
    """Stands for the deliverer: raises what it is given, or delivers."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def deliver(self, change: Change) -> Delivered:
        if self.error is not None:
            raise self.error
        return Delivered.CREATED


def work(redis: Redis, error: Exception | None) -> None:
    """A worker tries all that is queued, and this is what comes of each."""
    worker = DeliveryWorker(redis, RequestBudget(redis))
    worker.run_job = DeliveryAttempts(cast("Deliverer", Scripted(error))).make
    worker.work(burst=True, logging_level="CRITICAL")


def queued(redis: Redis, effect: str = "point", **fields: Any) -> Job:
    it = change(effect, **fields)
    assert Enqueuer(redis).enqueue([it])
    job = Job.fetch(
        f"{job_id_stem(it.delivery.source, it.delivery.id)}-0",
        connection=redis,
        serializer=delivery_queue(redis).serializer,
    )
    assert job.get_status() is JobStatus.QUEUED
    return job


def died(redis: Redis, error: Exception = REFUSAL, **fields: Any) -> DeadLetter:
    job = queued(redis, **fields)
    work(redis, error)
    letter = DeadLetters(delivery_queues(redis)).find(job.id)
    assert letter is not None
    return letter


def meta(redis: Redis, job: Job, **values: Any) -> None:
    job.meta.update(values)
    job.save_meta()  # type: ignore[no-untyped-call]


def is_waiting_for_a_try(redis: Redis, job: Job) -> bool:
    registries = [queue.scheduled_job_registry for queue in delivery_queues(redis)]
    return any(job.id in registry.get_job_ids(cleanup=False) for registry in registries)


class TestWhatBecomesOne:
    def test_a_refusal_keeps_the_apis_code_and_words(self, redis: Redis, letters: DeadLetters) -> None:
        job = queued(redis, name="Deploy acme/shop v3")
        before = now()
        work(redis, REFUSAL)
        (letter,) = letters
        death = letter.death
        assert (death.cause, death.kind, death.attempts) == (Cause.REFUSED, "Rejected", 1)
        assert (death.status, death.code) == (422, "VALIDATION_ERROR")
        assert death.message == "endedAt is before startedAt"
        assert before - timedelta(seconds=1) < death.at < now() + timedelta(seconds=1)
        assert letter.accepted_at == job.created_at.replace(microsecond=letter.accepted_at.microsecond)
        assert (letter.name, letter.key) == (job.id, KEY)
        assert letter.text("event", "name") == "Deploy acme/shop v3"

    def test_it_is_kept_for_a_year(self, redis: Redis) -> None:
        letter = died(redis)
        (lifetime,) = (redis.ttl(Job.key_for(letter.name)),)
        score = redis.zscore(letter.queue.failed_job_registry.key, letter.name)
        assert lifetime == pytest.approx(DEAD_LETTER_LIFETIME, abs=30)
        assert isinstance(score, float)
        assert score - now().timestamp() == pytest.approx(DEAD_LETTER_LIFETIME, abs=30)

    @pytest.mark.parametrize(
        ("error", "last"),
        [
            (OUTAGE, "500 INTERNAL_ERROR boom"),
            (ServerFailed("HTTP 502 Bad Gateway", status=502), "HTTP 502 Bad Gateway"),
            (Unreachable("connection refused", was_sent=False), "connection refused"),
            (Rejected("HTTP 405 Not Allowed", status=405), "HTTP 405 Not Allowed"),
        ],
        ids=str,
    )
    def test_an_outage_of_more_than_72_hours_says_so_with_the_last_words(
        self, redis: Redis, letters: DeadLetters, error: EventsApiError, last: str
    ) -> None:
        meta(redis, queued(redis), **{WAITED: PATIENCE.total_seconds() + 1, ATTEMPTS: 431})
        work(redis, error)
        (letter,) = letters
        assert letter.death.cause is Cause.OUT_OF_TIME
        assert letter.death.message == f"ran out of time after 72 h; last: {last}"
        assert letter.death.attempts == 432
        assert (letter.death.status, letter.death.code) == (error.status, error.code)

    def test_until_then_it_is_tried_and_the_time_is_added_up(
        self, redis: Redis, letters: DeadLetters
    ) -> None:
        job = queued(redis)
        meta(redis, job, **{WAITED: 1_000, ATTEMPTS: 9})
        work(redis, OUTAGE)
        assert letters.count() == 0
        assert is_waiting_for_a_try(redis, job)
        job.refresh()  # type: ignore[no-untyped-call]
        assert 1_001 <= job.meta[WAITED] <= 1_602
        assert job.meta[ATTEMPTS] == 10

    @pytest.mark.parametrize(
        "error",
        [
            Unauthorised("expired", code="INVALID_TOKEN", status=401),
            Unauthorised("no scope", status=403),
            NotFound("no such account", code="RESOURCE_NOT_FOUND", status=404),
            Rejected("the API redirects elsewhere; check APITRAFFIC_API_URL", status=301),
            RateLimited("slow down", code="RATE_LIMIT_EXCEEDED", status=429, retry_after=5),
            BudgetExhausted("the budget is used up", retry_after=5),
        ],
        ids=str,
    )
    def test_our_token_our_address_and_the_budget_never_make_one_and_take_no_time(
        self, redis: Redis, letters: DeadLetters, error: EventsApiError
    ) -> None:
        job = queued(redis)
        meta(redis, job, **{WAITED: PATIENCE.total_seconds() * 10})
        redis.hset(job.key, "created_at", "2020-01-01T00:00:00.000000Z")
        work(redis, error)
        assert letters.count() == 0
        assert is_waiting_for_a_try(redis, job)
        job.refresh()  # type: ignore[no-untyped-call]
        assert job.meta[WAITED] == PATIENCE.total_seconds() * 10

    def test_a_worker_that_did_not_run_for_a_week_has_its_72_hours_still(
        self, redis: Redis, letters: DeadLetters
    ) -> None:
        job = queued(redis)
        redis.hset(job.key, "created_at", "2020-01-01T00:00:00.000000Z")
        work(redis, OUTAGE)
        assert letters.count() == 0

    def test_a_bug_does_after_all_tries_with_its_kind_words_and_traceback(
        self, redis: Redis, letters: DeadLetters
    ) -> None:
        job = queued(redis)
        work(redis, KeyError("nobody thought of it"))
        assert letters.count() == 0
        assert is_waiting_for_a_try(redis, job)
        redis.hset(job.key, "retries_left", 0)
        for queue in delivery_queues(redis):
            redis.zadd(queue.scheduled_job_registry.key, {job.id: 1}, xx=True)
            Recovery(queue, "the worker under test").enqueue_due()
        work(redis, KeyError("nobody thought of it"))
        (letter,) = letters
        assert (letter.death.cause, letter.death.kind) == (Cause.UNEXPECTED, "KeyError")
        assert letter.death.message == "'nobody thought of it'"
        assert (letter.death.code, letter.death.status) == (None, None)
        assert letter.death.attempts == UNEXPECTED_RETRIES + 1
        assert letter.traceback[0] == "Traceback (most recent call last):"
        assert letter.traceback[-1] == "KeyError: 'nobody thought of it'"

    def test_a_change_that_cannot_be_read_does_too(self, redis: Redis, letters: DeadLetters) -> None:
        job = queued(redis)
        redis.hset(job.key, mapping={"data": b'["receiver.jobs.deliver",null,[{"key":""}],{}]'})
        redis.hset(job.key, "retries_left", 0)
        work(redis, None)
        (letter,) = letters
        assert (letter.death.cause, letter.death.kind) == (Cause.UNEXPECTED, "ValidationError")
        assert letters.replay(letter)

    def test_text_is_bounded_and_harmless(self, redis: Redis) -> None:
        hostile = "\x1b[31mred\u202e\r\n" + "long " * 1_000
        letter = died(redis, Rejected(hostile, code="\x07" * 9 + "C" * 500, status=422))
        assert len(letter.death.message) <= 600
        assert len(str(letter.death.code)) <= 100
        assert letter.death.message.isprintable()
        assert str(letter.death.code).isprintable()


class TestDeathsOutsideTheFunction:
    def test_rqs_own_words_stand_in(self, redis: Redis, letters: DeadLetters) -> None:
        """As where RQ gives up a job whose worker vanished."""
        job = queued(redis)
        queue = delivery_queue(redis)
        redis.lrem(queue.key, 1, job.id)
        words = "Moved to FailedJobRegistry, due to AbandonedJobError"
        queue.failed_job_registry.add(job, ttl=job.failure_ttl, exc_string=words)
        Result.create_failure(job, job.failure_ttl, exc_string=words)
        (letter,) = letters
        assert (letter.death.cause, letter.death.kind) == (Cause.UNEXPECTED, "unknown")
        assert letter.death.message == "Moved to FailedJobRegistry, due to AbandonedJobError"

    def test_where_there_are_none_that_is_said(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        redis.hdel(Job.key_for(letter.name), "meta")
        redis.delete(*redis.scan_iter(f"*results:{letter.name}"))
        (letter,) = letters
        assert letter.death.message == "the worker that had it left no word"
        assert letter.traceback == []

    @pytest.mark.parametrize("data", [b"", b"not JSON", b"[1]", b'["f",null,[],{}]', b'["f",null,["x"],{}]'])
    def test_data_that_cannot_be_read_is_listed_shown_and_discarded(
        self, redis: Redis, letters: DeadLetters, data: bytes
    ) -> None:
        name = died(redis).name
        redis.hset(Job.key_for(name), "data", data)
        (letter,) = letters
        assert (letter.name, letter.change, letter.key) == (name, {}, "")
        assert letter.as_json()["code"] == "VALIDATION_ERROR"
        assert letters.discard(letter)
        assert list(letters) == []

    def test_one_that_lost_its_data_does_not_hide_the_others(
        self, redis: Redis, letters: DeadLetters
    ) -> None:
        broken, whole, gone = died(redis), died(redis), died(redis)
        redis.hdel(Job.key_for(broken.name), "data")
        redis.delete(Job.key_for(gone.name))
        assert [letter.name for letter in letters] == [whole.name]


class TestListing:
    def test_those_of_all_queues_come_in_the_order_of_their_deaths(
        self, redis: Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BATCH", 2)
        dead = [died(redis, effect=effect) for effect in ("point", "close", "point", "close", "point")]
        for second, letter in enumerate(dead):
            # RQ keeps whole seconds, and these died within one.
            redis.zadd(
                letter.queue.failed_job_registry.key, {letter.name: now().timestamp() + 1_000 + second}
            )
        assert [letter.name for letter in letters] == [letter.name for letter in dead]
        assert {letter.queue.name for letter in letters} == {"urgent", "deliveries"}
        assert letters.count() == 5

    def test_after_a_year_it_is_not_there_any_more(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        redis.zadd(letter.queue.failed_job_registry.key, {letter.name: now().timestamp() - 1})
        assert list(letters) == []
        assert letters.count() == 0

    def test_what_is_queued_or_unknown_is_not_found(self, redis: Redis, letters: DeadLetters) -> None:
        assert letters.find(queued(redis).id) is None
        assert letters.find("no such") is None

    @pytest.mark.parametrize(
        "call",
        [
            lambda letters, letter: letters.count(),
            lambda letters, letter: list(letters),
            lambda letters, letter: letters.find("x"),
            lambda letters, letter: letters.replay(letter),
            lambda letters, letter: letters.discard(letter),
        ],
    )
    def test_without_redis_it_says_so(
        self, own_redis: RedisProcess, call: Callable[[DeadLetters, DeadLetter], object]
    ) -> None:
        redis = connect(own_redis.url)
        letter = died(redis)
        own_redis.stop()
        with pytest.raises(StorageUnavailable, match="Redis: "):
            call(DeadLetters(delivery_queues(redis)), letter)


class TestReplay:
    @pytest.mark.parametrize("effect", ["point", "close"])
    def test_it_goes_back_into_its_own_queue_as_new(
        self, redis: Redis, letters: DeadLetters, effect: str
    ) -> None:
        letter = died(redis, effect=effect)
        created_at = redis.hget(Job.key_for(letter.name), "created_at")
        assert letters.replay(letter)
        assert letter.queue.job_ids == [letter.name]
        assert list(letters) == []
        job = letter.queue.fetch_job(letter.name)
        assert job is not None
        assert job.get_status() is JobStatus.QUEUED
        assert (job.retries_left, job.number_of_retries, job.meta) == (UNEXPECTED_RETRIES, None, {})
        assert redis.ttl(job.key) == -1
        assert redis.hget(job.key, "created_at") == created_at
        assert job.latest_result() is None
        assert job.args[0] == letter.change

    def test_the_72_hours_begin_again(self, redis: Redis, letters: DeadLetters) -> None:
        job = queued(redis)
        meta(redis, job, **{WAITED: PATIENCE.total_seconds() + 1})
        work(redis, OUTAGE)
        (letter,) = letters
        assert letters.replay(letter)
        work(redis, OUTAGE)
        assert list(letters) == []
        assert is_waiting_for_a_try(redis, job)

    def test_what_is_refused_again_comes_back(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        assert letters.replay(letter)
        work(redis, Rejected("still wrong", code="VALIDATION_ERROR", status=422))
        (again,) = letters
        assert (again.name, again.death.message, again.death.attempts) == (letter.name, "still wrong", 1)

    def test_what_is_delivered_leaves_nothing(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        assert letters.replay(letter)
        work(redis, None)
        assert not list(redis.scan_iter(f"*{letter.name}*"))

    def test_twenty_people_at_once_queue_it_once(self, redis: Redis, letters: DeadLetters) -> None:
        dead = [died(redis) for _ in range(5)]
        with ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(letters.replay, dead * 20))
        assert outcomes.count(True) == 5
        assert sorted(delivery_queue(redis).job_ids) == sorted(letter.name for letter in dead)

    def test_it_is_replayed_or_discarded_but_never_half(self, redis: Redis, letters: DeadLetters) -> None:
        dead = [died(redis) for _ in range(20)]
        with ThreadPoolExecutor(8) as pool:
            replayed = [pool.submit(letters.replay, letter) for letter in dead]
            discarded = [pool.submit(letters.discard, letter) for letter in dead]
        for letter, back, away in zip(dead, replayed, discarded, strict=True):
            assert back.result() is not away.result()
            assert redis.exists(Job.key_for(letter.name)) == back.result()
            assert (letter.name in delivery_queue(redis).job_ids) is back.result()

    def test_a_name_without_its_job_is_cleared_away(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        redis.delete(Job.key_for(letter.name))
        assert not letters.replay(letter)
        assert delivery_queue(redis).job_ids == []
        assert not redis.exists(letter.queue.failed_job_registry.key)


class TestMarkerOfAReplay:
    """Dead letters are kept for a year, markers for half of one."""

    def half_a_year_passes(self, redis: Redis) -> None:
        for kind in (MARKER_PREFIX, ALIAS_PREFIX):
            for key in redis.keys(f"{kind}*"):
                redis.delete(key)

    def test_one_that_is_forgotten_is_in_doubt(self, redis: Redis, letters: DeadLetters) -> None:
        letter = died(redis)
        self.half_a_year_passes(redis)
        assert letters.replay(letter)
        assert redis.hgetall(MARKER_PREFIX + KEY) == {b"in_doubt": b"1"}
        assert redis.ttl(MARKER_PREFIX + KEY) > 0

    @pytest.mark.parametrize(
        "known", [MARKER_PREFIX + KEY, ALIAS_PREFIX + KEY, MARKER_PREFIX + "run:7", ALIAS_PREFIX + "run:7"]
    )
    def test_one_that_is_known_by_any_name_is_left_alone(
        self, redis: Redis, letters: DeadLetters, known: str
    ) -> None:
        it = change("point").model_copy(update={"aliases": ("run:7",)})
        Enqueuer(redis).enqueue([it])
        work(redis, REFUSAL)
        (letter,) = letters
        self.half_a_year_passes(redis)
        redis.hset(known, "sid", "evt1")
        assert letters.replay(letter)
        assert redis.hgetall(known) == {b"sid": b"evt1"}
        assert not redis.exists(MARKER_PREFIX + KEY) or known == MARKER_PREFIX + KEY


def test_discarding_leaves_nothing(redis: Redis, letters: DeadLetters) -> None:
    letter, other = died(redis), died(redis)
    assert letters.discard(letter)
    assert not list(redis.scan_iter(f"*{letter.name}*"))
    assert [kept.name for kept in letters] == [other.name]
    assert not letters.discard(letter)


class TestExactlyOneEvent:
    """With the worker's own process and the local Events API."""

    @pytest.fixture
    def refused(self, stack: Stack) -> DeadLetter:
        """The dead letter of deployment 1, which the API refused."""
        stack.receiver.start()
        stack.worker.start()
        stack.api.set_faults(["POST:status=422x1"])
        assert post(stack.url, deployment_status(1), delivery="refused").status_code == 202
        letters = DeadLetters(delivery_queues(stack.redis))
        wait_until(letters.count, f"the dead letter:\n{stack.worker.log()}")
        (letter,) = letters
        assert (letter.death.status, letter.death.code) == (422, "VALIDATION_ERROR")
        assert stack.events() == []
        return letter

    def replay(self, stack: Stack, letter: DeadLetter) -> None:
        assert DeadLetters(delivery_queues(stack.redis)).replay(letter)
        wait_until(stack.is_idle, "the replay to be delivered")
        assert DeadLetters(delivery_queues(stack.redis)).count() == 0

    def test_after_the_reason_is_mended_a_replay_makes_it(self, stack: Stack, refused: DeadLetter) -> None:
        self.replay(stack, refused)
        (event,) = stack.events()
        assert event["metadata"]["marker_key"] == refused.key

    def test_a_second_replay_of_the_same_changes_nothing(self, stack: Stack, refused: DeadLetter) -> None:
        """As from a backup of Redis: the event is there, and its dead letter too."""
        key, registry = Job.key_for(refused.name), refused.queue.failed_job_registry.key
        kept = stack.redis.dump(key)
        assert isinstance(kept, bytes)
        self.replay(stack, refused)
        before, requests = stack.events(), stack.api.requests()
        assert len(before) == 1
        stack.redis.restore(key, 0, kept)
        stack.redis.zadd(registry, {refused.name: now().timestamp() + 1_000})
        self.replay(stack, refused)
        assert stack.events() == before
        assert "unchanged" in stack.worker.log()
        assert stack.api.requests()["POST"] == requests["POST"]

    def test_a_replay_of_what_another_delivery_made_makes_no_second(
        self, stack: Stack, refused: DeadLetter
    ) -> None:
        assert post(stack.url, deployment_status(1)).status_code == 202
        wait_until(stack.is_idle, "the other delivery of the same deployment")
        (before,) = stack.events()
        self.replay(stack, refused)
        assert [event["sid"] for event in stack.events()] == [before["sid"]]

    def test_a_replay_of_what_redis_has_forgotten_finds_it(self, stack: Stack, refused: DeadLetter) -> None:
        assert post(stack.url, deployment_status(1)).status_code == 202
        wait_until(stack.is_idle, "the other delivery of the same deployment")
        for prefix in (MARKER_PREFIX, ALIAS_PREFIX):
            for key in stack.redis.scan_iter(f"{prefix}*"):
                stack.redis.delete(key)
        self.replay(stack, refused)
        assert len(stack.events()) == 1

    def test_a_worker_killed_during_the_replay_leaves_one(self, stack: Stack, refused: DeadLetter) -> None:
        stack.api.set_faults(["POST:hang=60x1"])
        assert DeadLetters(delivery_queues(stack.redis)).replay(refused)
        wait_until(stack.events, "the event to be committed")
        stack.worker.kill()
        stack.worker.start()
        wait_until(stack.is_idle, "the replay to be delivered")
        assert len(stack.events()) == 1
