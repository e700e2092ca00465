"""What RQ's data say of the queues and of the workers. Nothing is written.

Every function but `states_of` and `last_attempts` raises `RedisError` if Redis cannot be used. Commands are
sent in pipelines but not in transactions: a Redis without memory refuses a MULTI even if it only reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from redis import Redis
from rq import SimpleWorker
from rq.job import Job, JobStatus

from apitraffic_events.timestamps import now, parse_timestamp
from receiver.datastore.failures import redis_required
from receiver.datastore.replies import as_text
from receiver.queue.queues import JOB_TIMEOUT, all_queues

BUSY: Final = "busy"
LONGEST_SILENCE: Final = timedelta(seconds=30)
"""Without a sign of life for longer, a worker is dead, unless it has a job."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs of one queue are in which state, and the id of the job that is next.

    `on_the_way` counts those between the queue and `in_work`, a state in which only a plain `rq worker`
    leaves jobs.
    """

    name: str
    waiting: int
    on_the_way: int
    in_work: int
    to_retry: int
    dead: int
    next_job_id: str | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker; `state` is RQ's word, `busy` or `idle`, and `delivered` counts since the worker started."""

    name: str
    state: str
    seen_at: datetime | None
    delivered: int


def count_jobs(redis: Redis) -> list[QueueCounts]:
    """The counts of all delivery queues, in one round trip."""
    queues = all_queues(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.llen(queue.key)
            pipeline.llen(queue.intermediate_queue_key)
            pipeline.zcard(queue.started_job_registry.key)
            pipeline.zcard(queue.scheduled_job_registry.key)
            pipeline.zcard(queue.failed_job_registry.key)
            pipeline.lindex(queue.key, 0)
        replies = pipeline.execute()
    counts = []
    for number, queue in enumerate(queues):
        waiting, on_the_way, in_work, to_retry, dead, first = replies[number * 6 : number * 6 + 6]
        next_job_id = as_text(first) or None
        counts.append(QueueCounts(queue.name, waiting, on_the_way, in_work, to_retry, dead, next_job_id))
    return counts


def job_ids(redis: Redis, most: int) -> dict[str, set[str]]:
    """The ids of jobs that wait, are in work or are to be retried, by queue; at most `most` in each state."""
    queues = all_queues(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.lrange(queue.key, 0, most - 1)
            pipeline.zrange(queue.started_job_registry.key, 0, most - 1)
            pipeline.zrange(queue.scheduled_job_registry.key, 0, most - 1)
        replies = pipeline.execute()
    # A job in work is listed as <job>:<execution>.
    return {
        queue.name: {
            as_text(member).partition(":")[0]
            for members in replies[number * 3 : number * 3 + 3]
            for member in members
        }
        for number, queue in enumerate(queues)
    }


def accepted_at(redis: Redis, ids: Iterable[str]) -> Mapping[str, datetime]:
    """When the changes of these jobs were accepted; jobs that are gone are left out."""
    asked = list(ids)
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in asked:
            pipeline.hget(Job.key_for(job_id), "created_at")
        moments = [parse_timestamp(as_text(reply) or None) for reply in pipeline.execute()]
    return {job_id: moment for job_id, moment in zip(asked, moments, strict=True) if moment is not None}


def living_workers(redis: Redis) -> list[WorkerState]:
    """Those that have given a sign of life recently and have not ended.

    A worker that was killed leaves its entry behind, for up to three minutes.
    """
    prefix = SimpleWorker.redis_worker_namespace_prefix
    keys = sorted(SimpleWorker.all_keys(connection=redis))
    with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, ["state", "last_heartbeat", "death", "successful_job_count"])
        replies = pipeline.execute()
    found = [
        WorkerState(
            name=key.removeprefix(prefix),
            state=as_text(state) or "idle",
            seen_at=parse_timestamp(as_text(seen)),
            delivered=int(delivered or 0),
        )
        for key, (state, seen, died, delivered) in zip(keys, replies, strict=True)
        if seen is not None and died is None
    ]
    moment = now()
    return [worker for worker in found if _is_alive(worker, moment)]


def _is_alive(worker: WorkerState, moment: datetime) -> bool:
    """An idle worker gives a sign of life every five seconds, and a busy one when it takes a job."""
    longest = LONGEST_SILENCE + (timedelta(seconds=JOB_TIMEOUT) if worker.state == BUSY else timedelta())
    return worker.seen_at is not None and moment - worker.seen_at <= longest


class JobState(StrEnum):
    """Where the job of a change is. One that has been delivered is deleted, and so gone."""

    WAITING = "waiting"
    IN_WORK = "in_work"
    TO_RETRY = "to_retry"
    DEAD = "dead"
    GONE = "gone"


OF_RQ: Final = {
    JobStatus.QUEUED: JobState.WAITING,
    JobStatus.STARTED: JobState.IN_WORK,
    JobStatus.SCHEDULED: JobState.TO_RETRY,
    JobStatus.DEFERRED: JobState.TO_RETRY,
    JobStatus.FAILED: JobState.DEAD,
}


def states_of(redis: Redis, names: Sequence[str]) -> dict[str, JobState]:
    """Job id -> where it is; raises `StorageUnavailable`."""
    words = {status.value: state for status, state in OF_RQ.items()}
    return {
        name: JobState.GONE if status is None else words.get(as_text(status), JobState.WAITING)
        for name, status in _field_of_each(redis, names, "status").items()
    }


def last_attempts(redis: Redis, names: Sequence[str]) -> dict[str, datetime]:
    """Job id -> when its last attempt ended; without those that are gone or have had none.

    Raises `StorageUnavailable`.
    """
    ended = _field_of_each(redis, names, "ended_at")
    times = {name: parse_timestamp(as_text(text)) for name, text in ended.items() if text}
    return {name: at for name, at in times.items() if at is not None}


def _field_of_each(redis: Redis, names: Sequence[str], field: str) -> dict[str, bytes | None]:
    """Job id -> what its hash has there."""
    with redis_required(), redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hget(Job.key_for(name), field)
        return dict(zip(names, pipeline.execute(), strict=True))


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that is next: its change in words, when that was accepted, and when it is tried again, if so."""

    description: str
    accepted_at: datetime | None
    again_at: datetime | None = None


def next_jobs(redis: Redis, most: int) -> list[WaitingJob]:
    """What a worker takes next, the urgent queue first, then what is to be tried again soonest."""
    queues = all_queues(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.lrange(queue.key, 0, most - 1)
        for queue in queues:
            pipeline.zrange(queue.scheduled_job_registry.key, 0, most - 1, withscores=True)
        replies = pipeline.execute()
    waiting = [(as_text(name), None) for names in replies[: len(queues)] for name in names]
    to_retry = sorted(
        (
            (as_text(name), parse_timestamp(score))
            for found in replies[len(queues) :]
            for name, score in found
        ),
        key=lambda entry: entry[1] or now(),
    )
    chosen: list[tuple[str, datetime | None]] = [*waiting, *to_retry][:most]
    with redis.pipeline(transaction=False) as pipeline:
        for name, _ in chosen:
            pipeline.hmget(Job.key_for(name), ["description", "created_at"])
        found = pipeline.execute()
    return [
        WaitingJob(as_text(description), parse_timestamp(as_text(created) or None), again_at)
        for (_, again_at), (description, created) in zip(chosen, found, strict=True)
        if description is not None
    ]
