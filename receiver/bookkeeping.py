"""RQ's bookkeeping of a job that begins and one that is done: each in one atomic step.

RQ takes some fifty commands in seven round trips for these two, which is most of what a worker does. What is
written here is what RQ writes (`rq.executions`, `Worker.prepare_job_execution`, `Job.delete`), so that its
registries, its tools and its own handling of failures and retries find what they expect.
"""

from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from redis import Redis
from rq import Queue
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import utcformat
from rq.worker import WorkerStatus

from receiver.queues import JOB_TIMEOUT
from receiver.throughput import LIFETIME, key_of_this_minute
from receiver.timestamps import now

EXECUTION_LIFETIME: Final = JOB_TIMEOUT + 60
"""Seconds after which RQ takes a job that has begun for abandoned; as `SimpleWorker.get_heartbeat_ttl`."""

BEGIN_SCRIPT: Final = """
-- KEYS: jobs on the way, jobs in work, job, execution, the job's executions, worker, its executions
-- ARGV: job's id, execution's id, worker's name, time, time as a number, lifetime, status, worker's state
local both = ARGV[1] .. ':' .. ARGV[2]
redis.call('HSET', KEYS[4], 'id', ARGV[2], 'job_id', ARGV[1], 'created_at', ARGV[5],
    'last_heartbeat', ARGV[5], 'worker_name', ARGV[3])
redis.call('EXPIRE', KEYS[4], ARGV[6])
redis.call('ZADD', KEYS[5], ARGV[5] + ARGV[6] + 60, ARGV[2])
redis.call('EXPIRE', KEYS[5], ARGV[6] + 60)
redis.call('ZADD', KEYS[2], ARGV[5] + ARGV[6], both)
redis.call('HSET', KEYS[3], 'status', ARGV[7], 'started_at', ARGV[4], 'last_heartbeat', ARGV[4],
    'worker_name', ARGV[3])
redis.call('PERSIST', KEYS[3])
redis.call('HSET', KEYS[6], 'state', ARGV[8], 'last_heartbeat', ARGV[4])
redis.call('EXPIRE', KEYS[6], ARGV[6])
redis.call('SADD', KEYS[7], both)
redis.call('EXPIRE', KEYS[7], ARGV[6])
redis.call('LREM', KEYS[1], 1, ARGV[1])
"""

FINISH_SCRIPT: Final = """
-- KEYS: jobs in work, worker, its executions, number delivered in this minute, then all that is of the job
-- ARGV: job's id and execution's, seconds worked, worker's state, lifetime of the number delivered
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', unpack(KEYS, 5))
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'successful_job_count', 1)
redis.call('HINCRBYFLOAT', KEYS[2], 'total_working_time', ARGV[2])
redis.call('HSET', KEYS[2], 'state', ARGV[3])
redis.call('INCRBY', KEYS[4], 1)
redis.call('EXPIRE', KEYS[4], ARGV[4])
"""


class Bookkeeping:
    """For the worker of this name, whose hash in Redis has this key, and jobs of these queues."""

    def __init__(self, redis: Redis, queues: Iterable[Queue], worker_name: str, worker_key: str) -> None:
        self._redis = redis
        self._queue_keys = {
            queue.name: (queue.intermediate_queue_key, queue.started_job_registry.key) for queue in queues
        }
        self._worker_name = worker_name
        self._worker_key = worker_key
        self._begin = redis.register_script(BEGIN_SCRIPT)
        self._finish = redis.register_script(FINISH_SCRIPT)

    def begin(self, job: Job) -> Execution:
        """The job is in work from here on, and is this worker's."""
        execution = Execution(uuid4().hex, job.id, self._redis, self._worker_name)
        moment = now()
        job.worker_name, job.started_at, job.last_heartbeat = self._worker_name, moment, moment
        # RQ has no public way to set a status without telling Redis, which the script does.
        job._status = JobStatus.STARTED  # noqa: SLF001
        self._begin(
            keys=[
                *self._queue_keys[job.origin],
                job.key,
                execution.key,
                ExecutionRegistry(job.id, self._redis).key,
                self._worker_key,
                execution.worker_executions_key,
            ],
            args=[
                job.id,
                execution.id,
                self._worker_name,
                utcformat(moment),
                moment.timestamp(),
                EXECUTION_LIFETIME,
                JobStatus.STARTED.value,
                WorkerStatus.BUSY.value,
            ],
        )
        return execution

    def finish(self, job: Job, execution: Execution, seconds: float) -> None:
        """The job is done: nothing of it is left but the figures."""
        _, in_work = self._queue_keys[job.origin]
        self._finish(
            keys=[
                in_work,
                self._worker_key,
                execution.worker_executions_key,
                key_of_this_minute(),
                execution.key,
                ExecutionRegistry(job.id, self._redis).key,
                job.key,
                job.dependents_key,
                job.dependencies_key,
                Result.get_key(job.id),  # type: ignore[no-untyped-call]  # RQ has no types here
            ],
            args=[execution.composite_key, seconds, WorkerStatus.IDLE.value, LIFETIME],
        )
