"""RQ on Redis: two queues, jobs as JSON, one job for each change."""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from apitraffic_events.timestamps import now
from receiver.events import Change

ROUTINE: Final = "deliveries"
URGENT: Final = "urgent"
"""Queues; the urgent one goes first, and may use the reserve of the budget."""
BELL: Final = "apitraffic:bell"
"""A list at which idle workers wait; pushing to it wakes one of them."""
JOB_FUNCTION: Final = "receiver.jobs.deliver"
"""The name that stored jobs have for their function. It stays, whichever module has the function."""
JOB_TIMEOUT: Final = 120
"""Seconds after which a job is interrupted and retried; several times what its HTTP calls may take."""
DEAD_LETTER_LIFETIME: Final = 365 * 86_400
"""Seconds for which a dead letter is kept."""
UNEXPECTED_RETRIES: Final = 1_000
UNEXPECTED_RETRY_INTERVAL: Final = 60
"""Seconds between attempts after an unexpected error; `receiver.delivery.retries` has the other pauses."""

COMPRESSED_FROM: Final = 4096
"""Bytes of a job's call. RQ reads compressed and plain ones; most have less than two thousand bytes."""
COMPRESSION: Final = 1
"""zlib's level; higher ones take longer than they are worth."""

WRITTEN_BY_US: Final[Mapping[str, Any]] = MappingProxyType({"is_clean": True})
"""The context for validating what we have written to Redis: its text has been made safe before."""
CALL: Final = TypeAdapter(tuple[Literal["receiver.jobs.deliver"], None, tuple[Change], dict[str, None]])
"""What RQ stores of the call: the function's name, its instance, its arguments and its keyword arguments."""


def delivery_queue(redis: Redis, name: str = ROUTINE) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)


def delivery_queues(redis: Redis) -> tuple[Queue, Queue]:
    """The urgent one, then the routine one."""
    return delivery_queue(redis, URGENT), delivery_queue(redis, ROUTINE)


def job_of(change: Change, job_id: str, queue: Queue) -> Job:
    """The RQ job, not yet stored, that will deliver this change."""
    job = Job.create(
        JOB_FUNCTION,
        args=(change.model_dump(mode="json", by_alias=True),),
        id=job_id,
        connection=queue.connection,
        serializer=queue.serializer,
        origin=queue.name,
        timeout=JOB_TIMEOUT,
        result_ttl=0,
        failure_ttl=DEAD_LETTER_LIFETIME,
        description=job_description(change),
        status=JobStatus.QUEUED,
    )
    job.retries_left = UNEXPECTED_RETRIES
    job.retry_intervals = [UNEXPECTED_RETRY_INTERVAL]
    job.enqueued_at = now()
    return job


def job_data(change: Change) -> bytes:
    """What RQ stores of a job's call, written directly as JSON."""
    call = b'["%b",null,[%b],{}]' % (JOB_FUNCTION.encode(), change.model_dump_json(by_alias=True).encode())
    return zlib.compress(call, COMPRESSION) if len(call) >= COMPRESSED_FROM else call


def change_of(job: Job) -> Change:
    """The change to deliver, read directly from JSON; raises `pydantic.ValidationError` if it is none.

    The reverse of `job_data`: RQ has decompressed the call, and would make Python objects of all of it first.
    """
    _, _, (change,), _ = CALL.validate_json(job.data, context=WRITTEN_BY_US)
    return change


def job_description(change: Change) -> str:
    return f"{change.effect.value} {change.key}"


def job_marker_names(change: Change) -> str:
    """The names of a job's marker. They are stored beside its call, so that the marker is locked with the
    job.
    """
    return json.dumps(change.names)


def marker_names_of_job(redis: Redis, job_id: str) -> list[str]:
    """The stored names; empty if the job is gone, or if the version that queued it did not store them."""
    kept = redis.hget(Job.key_for(job_id), "names")
    return json.loads(kept) if kept else []


def job_id_stem(source: str, delivery_id: str) -> str:
    """How the ids of a delivery's jobs begin: with its own id, if RQ allows its characters."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", delivery_id):
        return f"{source}-{delivery_id}"
    return f"{source}-{hashlib.sha256(delivery_id.encode()).hexdigest()[:32]}"
