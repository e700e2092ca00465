"""What an operator asks first: is anything waiting, since when, and does anybody work on it?

Only reads, and only Redis and this host's spool: the Events API is not asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.utils import as_text
from rq.worker_registration import get_keys

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now, parse_timestamp
from receiver.datastore.failures import explain
from receiver.delivery.budget import BUDGET, PAUSE
from receiver.errors import StorageUnavailable
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.queues import delivery_queues
from receiver.queue.throughput import delivered_in_last_hour
from receiver.reception.quarantine import Quarantine

MOST_LOOKED_AT: Final = 1_000
"""Jobs of each queue, in each state, among which the oldest is looked for."""
LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class QueueState:
    """Changes in one queue: waiting for a worker, in work, and waiting for another try.

    `oldest_at` is when the oldest of them was accepted.
    """

    name: str
    waiting: int
    in_work: int
    to_retry: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Requests that the API still allows until `reset_at`; none before `blocked_until`."""

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    blocked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no worker delivers, and when one looks whether it may again."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker; `state` is RQ's word, `busy` or `idle`, `delivered` counts since it began."""

    name: str
    state: str
    seen_at: datetime | None
    delivered: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """All that Redis knows."""

    queues: tuple[QueueState, ...]
    pause: Pause | None
    delivered_last_hour: int
    budget: BudgetState | None
    dead_letters: int
    quarantined: int
    workers: tuple[WorkerState, ...]

    @property
    def oldest_at(self) -> datetime | None:
        return min((queue.oldest_at for queue in self.queues if queue.oldest_at), default=None)


def read_status(redis: Redis) -> QueueStatus:
    """Raises `StorageUnavailable` where Redis is away."""
    queues = delivery_queues(redis)
    try:
        return QueueStatus(
            queues=tuple(_queue(queue) for queue in queues),
            pause=_pause(redis),
            delivered_last_hour=delivered_in_last_hour(redis),
            budget=_budget(redis),
            dead_letters=DeadLetters(queues).count(),
            quarantined=Quarantine(redis).count(),
            workers=tuple(_workers(redis)),
        )
    except RedisError as error:
        raise StorageUnavailable(f"Redis: {explain(error)}") from error


def _queue(queue: Queue) -> QueueState:
    redis = queue.connection
    started, scheduled = queue.started_job_registry, queue.scheduled_job_registry
    # Not in a MULTI, which a Redis without memory refuses even where it only reads.
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.llen(queue.key)
        pipeline.llen(queue.intermediate_queue_key)
        pipeline.zcard(started.key)
        pipeline.zcard(scheduled.key)
        pipeline.lrange(queue.key, 0, MOST_LOOKED_AT - 1)
        pipeline.zrange(started.key, 0, MOST_LOOKED_AT - 1)
        pipeline.zrange(scheduled.key, 0, MOST_LOOKED_AT - 1)
        waiting, on_the_way, in_work, to_retry, *members = pipeline.execute()
    # A job in work is listed as <job>:<execution>.
    job_ids = {as_text(member).partition(":")[0] for some in members for member in some}
    return QueueState(queue.name, waiting, on_the_way + in_work, to_retry, _oldest(redis, job_ids))


def _oldest(redis: Redis, job_ids: Iterable[str]) -> datetime | None:
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.hget(Job.key_for(job_id), "created_at")
        accepted = (parse_timestamp(as_text(value)) for value in pipeline.execute() if value)
    return min((moment for moment in accepted if moment), default=None)


def _pause(redis: Redis) -> Pause | None:
    until, reason = redis.hmget(PAUSE, ["until", "reason"])
    moment = _moment(until)
    if moment is None or moment <= now():
        return None
    return Pause(moment, one_line(as_text(reason or b""), LONGEST_REASON))


def _budget(redis: Redis) -> BudgetState | None:
    """As of the last answer; `None` where none has come for a day."""
    limit, remaining, reset, blocked = redis.hmget(BUDGET, ["limit", "remaining", "reset", "blocked"])
    blocked_until = _moment(blocked)
    if limit is None and blocked_until is None:
        return None
    return BudgetState(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset_at=_moment(reset),
        blocked_until=blocked_until if blocked_until and blocked_until > now() else None,
    )


def _workers(redis: Redis) -> Sequence[WorkerState]:
    prefix = SimpleWorker.redis_worker_namespace_prefix
    keys = sorted(as_text(key) for key in get_keys(connection=redis))
    fields = ["state", "last_heartbeat", "death", "successful_job_count"]
    found = []
    for key in keys:
        state, seen, died, delivered = redis.hmget(key, fields)
        if seen is not None and died is None:
            name = key.removeprefix(prefix)
            seen_at = parse_timestamp(as_text(seen))
            found.append(WorkerState(name, as_text(state or b"idle"), seen_at, int(delivered or 0)))
    return found


def _moment(seconds: Any) -> datetime | None:
    """Redis holds times as seconds since 1970, in text."""
    return None if seconds is None else parse_timestamp(float(seconds))
