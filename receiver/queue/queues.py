"""RQ on Redis: two queues for each account, jobs as JSON, one job for each change."""

import hashlib
import json
import re
import zlib
from contextlib import suppress
from typing import Final, Literal

from pydantic import TypeAdapter
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from typing_extensions import TypedDict

from apitraffic_events.event import ALREADY_CLEAN
from apitraffic_events.timestamps import now
from receiver.datastore.replies import as_text
from receiver.events import Change, is_urgent

ROUTINE: Final = "deliveries"
URGENT: Final = "urgent"
"""Queues; the urgent one goes first, and may use the reserve of the budget."""
OF_ACCOUNT: Final = "@"
"""Between the name of a queue and that of its account: `deliveries@emea`. A worker that does not know the
account, or is of a version that knows one account only, does not look into that queue."""
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


class MarkerNames(TypedDict):
    """The names of a marker as the scripts that lock it read them, see `receiver.datastore.keys`."""

    names: tuple[str, ...]
    claims: tuple[str, ...]


NAMES_AND_CHANGE: Final = TypeAdapter(tuple[tuple[str, ...] | MarkerNames, Change])
"""Names without claims are a list, as version 0.1 reads them."""

CALL: Final = TypeAdapter(tuple[Literal["receiver.jobs.deliver"], None, tuple[Change], dict[str, None]])
"""What RQ stores of the call: the function's name, its instance, its arguments and its keyword arguments."""


def delivery_queue(redis: Redis, name: str = ROUTINE) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)


def delivery_queues(redis: Redis, account: str | None = None) -> tuple[Queue, Queue]:
    """Of this account, the urgent one, then the routine one."""
    return (
        delivery_queue(redis, queue_name(account, is_urgent=True)),
        delivery_queue(redis, queue_name(account, is_urgent=False)),
    )


def queue_name(account: str | None, *, is_urgent: bool) -> str:
    name = URGENT if is_urgent else ROUTINE
    return name if account is None else f"{name}{OF_ACCOUNT}{account}"


def queue_name_for(change: Change) -> str:
    """The queue that this change belongs into."""
    return queue_name(change.account, is_urgent=is_urgent(change))


def account_of(queue: str) -> str | None:
    """The account whose changes are in the queue of this name; `None` if it has none of its own."""
    return queue.partition(OF_ACCOUNT)[2] or None


def known_accounts(redis: Redis) -> tuple[str, ...]:
    """The accounts that have queues in this Redis, also those that apitraffic.toml names no longer.

    Raises `RedisError`.
    """
    prefix = delivery_queue(redis, "").key
    names = (as_text(key).removeprefix(prefix) for key in redis.smembers(Queue.redis_queues_keys))
    accounts = {account_of(name) for name in names if name.partition(OF_ACCOUNT)[0] in {URGENT, ROUTINE}}
    return tuple(sorted(account for account in accounts if account is not None))


def all_queues(redis: Redis) -> tuple[Queue, ...]:
    """As `delivery_queues`, and then those of all accounts that have queues in this Redis.

    Raises `RedisError`.
    """
    accounts = (None, *known_accounts(redis))
    return tuple(queue for account in accounts for queue in delivery_queues(redis, account))


def announce(redis: Redis, account: str) -> None:
    """Make the account known to `known_accounts` before there is anything in its queues."""
    queues = delivery_queues(redis, account)
    redis.sadd(Queue.redis_queues_keys, *(queue.key for queue in queues))


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


def job_data_and_names(change: Change) -> tuple[bytes, bytes]:
    """What RQ keeps of a job's call, and the names of its marker as JSON, which are kept beside the call.

    The step that takes the job locks its marker by these names. Both come from one writing of JSON: the names
    end where the change begins, because no string in them can hold a quote that is not escaped.
    """
    claims = change.claimed_names
    marker_names: tuple[str, ...] | MarkerNames = change.names
    if claims:
        marker_names = {"names": change.names, "claims": claims}
    written = NAMES_AND_CHANGE.dump_json((marker_names, change), by_alias=True)
    names, start, rest = written[1:-1].partition(b',{"key":')
    call = b'["%b",null,[%b%b],{}]' % (JOB_FUNCTION.encode(), start[1:], rest)
    return (zlib.compress(call, COMPRESSION) if len(call) >= COMPRESSED_FROM else call), names


def change_in(data: bytes) -> Change:
    """The change that a job's call is to deliver, read directly from JSON; raises `pydantic.ValidationError`
    if it is none.

    The reverse of `job_data_and_names`. RQ would make Python objects of all of the call first.
    """
    with suppress(zlib.error):
        data = zlib.decompress(data)
    _, _, (change,), _ = CALL.validate_json(data, context=ALREADY_CLEAN)
    return change


def job_description(change: Change) -> str:
    return f"{change.effect.value} {change.key}"


def marker_names_of_job(redis: Redis, job_id: str) -> list[str]:
    """The stored names that only its marker has.

    Empty if the job is gone, or if the version that queued it did not store them. Version 0.1 stored a list.
    """
    kept = redis.hget(Job.key_for(job_id), "names")
    found = json.loads(kept) if kept else []
    return found["names"] if isinstance(found, dict) else found


def job_id_stem(source: str, delivery_id: str) -> str:
    """How the ids of a delivery's jobs begin: with its own id, if RQ allows its characters."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", delivery_id):
        return f"{source}-{delivery_id}"
    return f"{source}-{hashlib.sha256(delivery_id.encode()).hexdigest()[:32]}"
