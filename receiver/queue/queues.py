"""The queue between receiver and workers: RQ on Redis, jobs as JSON, one job for each change."""

import hashlib
import json
import re
import zlib
from typing import Final

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from apitraffic_events.timestamps import now
from receiver.datastore.keys import names_as_json
from receiver.events import Change

ROUTINE: Final = "deliveries"
URGENT: Final = "urgent"
"""Queues; the urgent one goes first, and lives on when the budget is nearly used up."""
BELL: Final = "apitraffic:bell"
"""A list that idle workers wait at; whoever queues something rings it."""
JOB_FUNCTION: Final = "receiver.jobs.deliver"
JOB_TIMEOUT: Final = 120
"""Seconds after which a job is given up and tried again; several times what its HTTP calls may take."""
DEAD_LETTER_LIFETIME: Final = 365 * 86_400
"""Seconds for which a job that was refused for good stays readable."""
UNEXPECTED_RETRIES: Final = 1_000
UNEXPECTED_RETRY_INTERVAL: Final = 60
"""Seconds between tries after a failure that nobody foresaw; `receiver.delivery.retries` has the others."""

COMPRESSED_FROM: Final = 4096
"""Bytes of a job's call; RQ reads it either way, and most have less than two thousand."""
COMPRESSION: Final = 1
"""zlib's level; higher ones take longer than they are worth."""


def delivery_queue(redis: Redis, name: str = ROUTINE) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)


def delivery_queues(redis: Redis) -> tuple[Queue, Queue]:
    """The urgent one and the other."""
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
    """What RQ keeps of a job's call, made at once instead of by way of Python objects."""
    call = b'["%b",null,[%b],{}]' % (JOB_FUNCTION.encode(), change.model_dump_json(by_alias=True).encode())
    return zlib.compress(call, COMPRESSION) if len(call) >= COMPRESSED_FROM else call


def job_description(change: Change) -> str:
    return f"{change.effect.value} {change.key}"


def job_marker_names(change: Change) -> str:
    """The names of a job's marker, kept beside its call: whoever takes the job opens the marker with it."""
    return names_as_json(change.names, change.claimed_names)


def marker_names_of_job(redis: Redis, job_id: str) -> list[str]:
    """Those of them that only its marker has.

    Empty where the job is gone, or was queued by a version that did not keep them. Version 0.1 kept a list.
    """
    kept = redis.hget(Job.key_for(job_id), "names")
    found = json.loads(kept) if kept else []
    return found["names"] if isinstance(found, dict) else found


def job_id_stem(source: str, delivery_id: str) -> str:
    """A delivery's id in the characters that RQ allows, so that its jobs can be found by it."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", delivery_id):
        return f"{source}-{delivery_id}"
    return f"{source}-{hashlib.sha256(delivery_id.encode()).hexdigest()[:32]}"
