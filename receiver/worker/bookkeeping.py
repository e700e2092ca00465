"""The end of a job and the taking of the next one, RQ's books and their markers included: in one round trip.

RQ takes some fifty commands in eight round trips for these two, which is most of what a worker does, and
takes from several queues with a command that loses the job if the worker dies at that moment. Here a job goes
straight from its queue into work, as this worker's, together with the look at the line and the budget: the
urgent ones first, none while the line is paused or the budget is used up. What is written is what RQ writes
(`rq.executions`, `Worker.prepare_job_execution`, `Job.delete`), so that its registries, its tools and its own
handling of failures and retries find what they expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.defaults import FORMAT_KEY_PREFIX
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE, Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import as_text, utcformat
from rq.worker import WorkerStatus
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.delivery.budget import BUDGET, LINE, PERMIT, Permit
from receiver.delivery.marker_scripts import OPEN, SAVE
from receiver.delivery.markers import Opening, Saving, new_token
from receiver.queue.queues import BELL, JOB_TIMEOUT
from receiver.queue.throughput import LIFETIME, key_of_this_minute

LONGEST_WAIT: Final = 1.0
"""Seconds between looks at the queues where nobody rings: retries and jobs put back do not."""
EXECUTION_LIFETIME: Final = JOB_TIMEOUT + 60
"""Seconds after which RQ takes a job that has begun for abandoned; as `SimpleWorker.get_heartbeat_ttl`."""
KEY_PREFIXES: Final = (
    Job.key_for(""),
    f"{FORMAT_KEY_PREFIX}:execution:",
    ExecutionRegistry.key_template.format(""),
)
"""How the keys begin of jobs, of executions and of a job's executions."""

TAKE_SCRIPT: Final = f"""
-- KEYS: line, budget, worker, its executions, then of the urgent queue and of the routine one its jobs and
-- those in work
-- ARGV: now, now as text, lifetime, worker's name, execution's id, then how keys begin: of jobs, of
-- executions, of a job's executions; then the token to open its marker with
-- The queue's key, the job's id, its fields, its permit and its marker as opened, or nothing.
local moment, lifetime = tonumber(ARGV[1]), tonumber(ARGV[3])

local function begin(id, job, in_work)
    local both = id .. ':' .. ARGV[5]
    local execution, executions = ARGV[7] .. both, ARGV[8] .. id
    redis.call('HSET', execution, 'id', ARGV[5], 'job_id', id, 'created_at', ARGV[1],
        'last_heartbeat', ARGV[1], 'worker_name', ARGV[4])
    redis.call('EXPIRE', execution, lifetime)
    redis.call('ZADD', executions, moment + lifetime + 60, ARGV[5])
    redis.call('EXPIRE', executions, lifetime + 60)
    redis.call('ZADD', in_work, moment + lifetime, both)
    redis.call('HSET', job, 'status', '{JobStatus.STARTED.value}', 'started_at', ARGV[2],
        'last_heartbeat', ARGV[2], 'worker_name', ARGV[4])
    redis.call('PERSIST', job)
    redis.call('HSET', KEYS[3], 'state', '{WorkerStatus.BUSY.value}', 'last_heartbeat', ARGV[2])
    redis.call('EXPIRE', KEYS[3], lifetime)
    redis.call('SADD', KEYS[4], both)
    redis.call('EXPIRE', KEYS[4], lifetime)
end

local function first(queue)
    local id = redis.call('LINDEX', queue, 0)
    -- What has no call is the remains of a job that was done twice at once; RQ would quit over it.
    while id and redis.call('HEXISTS', ARGV[6] .. id, 'data') == 0 do
        redis.call('DEL', ARGV[6] .. id)
        redis.call('LPOP', queue)
        id = redis.call('LINDEX', queue, 0)
    end
    return id
end

{PERMIT}
{OPEN}

-- A marker that cannot be opened must not keep its job from being taken: the worker finds out why.
local function opened(job)
    local is_opened, opening = pcall(function()
        local kept, granted = resolve(named(redis.call('HGET', job, 'names')))
        return open(kept, granted, ARGV[9])
    end)
    return is_opened and opening
end

local function taken(queue, in_work, is_urgent)
    local id = first(queue)
    if not id then
        return false
    end
    local permitted = permit(KEYS[2], moment, is_urgent)
    if permitted[1] ~= '0' then
        return false
    end
    redis.call('LPOP', queue)
    local job = ARGV[6] .. id
    begin(id, job, in_work)
    return {{queue, id, redis.call('HGETALL', job), permitted, opened(job)}}
end

local paused_until = redis.call('HGET', KEYS[1], 'until')
if paused_until and moment < tonumber(paused_until) then
    return false
end
return taken(KEYS[5], KEYS[6], true) or taken(KEYS[7], KEYS[8], false)
"""

FINISH_SCRIPT: Final = f"""
-- KEYS: jobs in work, worker, its executions, number delivered in this minute, then all that is of the job
-- ARGV: job's id and execution's, seconds worked, lifetime of the number delivered; then, where its marker is
-- to be closed, as `save`
-- Whether the job is done, now or before: it is not where the marker is not this worker's any more.
{SAVE}
redis.call('HSET', KEYS[2], 'state', '{WorkerStatus.IDLE.value}')
if #ARGV > 3 and not save(unpack(ARGV, 4)) then
    return redis.call('EXISTS', KEYS[7]) == 0
end
local is_first_time = redis.call('ZREM', KEYS[1], ARGV[1]) == 1
redis.call('DEL', unpack(KEYS, 5))
redis.call('SREM', KEYS[3], ARGV[1])
if is_first_time then
    redis.call('HINCRBY', KEYS[2], 'successful_job_count', 1)
    redis.call('HINCRBYFLOAT', KEYS[2], 'total_working_time', ARGV[2])
    redis.call('INCRBY', KEYS[4], 1)
    redis.call('EXPIRE', KEYS[4], ARGV[3])
end
return true
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A job in work, its queue, what says that it is this worker's, and what it came with.

    That is the permit for its first request and its marker, opened or found busy.
    """

    job: Job
    queue: Queue
    execution: Execution
    permit: Permit
    opening: Opening | None


@dataclass(frozen=True, slots=True)
class Done:
    """A job to be booked as done, and what `FINISH_SCRIPT` needs."""

    job_id: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | float]


class Bookkeeping:
    """For the worker of this name, whose hash in Redis has this key; of two queues the first is urgent."""

    def __init__(self, redis: Redis, queues: Sequence[Queue], worker_name: str, worker_key: str) -> None:
        self._redis = redis
        self._queues = {queue.key: queue for queue in queues}
        self._queue_keys = [key for queue in queues for key in (queue.key, queue.started_job_registry.key)]
        self._worker_name = worker_name
        self._worker_key = worker_key
        self._executions_key = WORKER_EXECUTIONS_KEY_TEMPLATE.format(worker_name)
        self._done: Done | None = None

    def take(self) -> Taken | None:
        """The next job, where there is one and it may go; what is done is booked in the same go."""
        moment, execution_id, token = now(), uuid4().hex, new_token(self._worker_name)
        keys = [LINE, BUDGET, self._worker_key, self._executions_key, *self._queue_keys]
        arguments: list[str | float] = [
            moment.timestamp(),
            utcformat(moment),
            EXECUTION_LIFETIME,
            self._worker_name,
            execution_id,
            *KEY_PREFIXES,
            token,
        ]
        with self._redis.pipeline(transaction=False) as pipeline:
            self._queue_booking(pipeline)
            pipeline.eval(TAKE_SCRIPT, len(keys), *keys, *arguments)
            *booked, taken = pipeline.execute()
        self._note(booked)
        if not taken:
            return None
        queue_key, job_id, fields, permitted, opened = taken
        queue = self._queues[as_text(queue_key)]
        job = Job(as_text(job_id), self._redis, queue.serializer)
        job.restore(dict(zip(fields[::2], fields[1::2], strict=True)))
        execution = Execution(execution_id, job.id, self._redis, self._worker_name)
        opening = Opening(token, *opened) if opened else None
        return Taken(job, queue, execution, Permit.read(permitted), opening)

    def wait_for_bell(self) -> None:
        """Return when something was queued, or after `LONGEST_WAIT`."""
        self._redis.blpop([BELL], timeout=LONGEST_WAIT)

    def finish(self, taken: Taken, seconds: float, closing: Saving | None = None) -> None:
        """The job is done, in so many seconds: to be booked with the taking of the next one, or by `book`.

        So is `closing`, what is to be kept of its marker. Until then it is in work. Were the worker to die
        before, another would find the marker in doubt where a request was made: it would look for an event
        that was created, and send an update once more.
        """
        job = taken.job
        keys = [
            taken.queue.started_job_registry.key,
            self._worker_key,
            self._executions_key,
            key_of_this_minute(),
            taken.execution.key,
            ExecutionRegistry(job.id, self._redis).key,
            job.key,
            job.dependents_key,
            job.dependencies_key,
            Result.get_key(job.id),  # type: ignore[no-untyped-call]  # RQ has no types here
        ]
        arguments = [taken.execution.composite_key, seconds, LIFETIME, *(closing or ())]
        self._done = Done(job.id, keys, arguments)

    def book(self) -> None:
        """Of what is done leave nothing but the figures."""
        if self._done is not None:
            with self._redis.pipeline(transaction=False) as pipeline:
                self._queue_booking(pipeline)
                booked = pipeline.execute()
            self._note(booked)

    def _queue_booking(self, pipeline: Pipeline) -> None:
        if self._done is not None:
            pipeline.eval(FINISH_SCRIPT, len(self._done.keys), *self._done.keys, *self._done.arguments)

    def _note(self, booked: Sequence[object]) -> None:
        """What was answered to the booking, if there was one."""
        done, self._done = self._done, None
        if done is not None and not all(booked):
            get_logger("receiver.worker").warning(
                "not booked as done, as its marker is not ours any more; it will be put back", job=done.job_id
            )
