"""Jobs that nobody works on: left by a worker that died, or due for another try. All moves are atomic."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis
from rq import Queue, SimpleWorker
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import as_text
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.delivery.markers import MarkerStore
from receiver.queue.queues import marker_names_of_job

MOST_AT_ONCE: Final = 500

REQUEUE_SCRIPT: Final = """
-- KEYS: jobs in work, queue, job. ARGV: execution, job id, status
local was_in_work = redis.call('ZREM', KEYS[1], ARGV[1])
if was_in_work == 1 and redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HSET', KEYS[3], 'status', ARGV[3])
    redis.call('LPUSH', KEYS[2], ARGV[2])
end
return was_in_work
"""

DUE_SCRIPT: Final = """
-- KEYS: scheduled jobs, queue. ARGV: now, most at once, prefix of job keys, status
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
    redis.call('ZREM', KEYS[1], id)
    if redis.call('EXISTS', ARGV[3] .. id) == 1 then
        redis.call('HSET', ARGV[3] .. id, 'status', ARGV[4])
        redis.call('RPUSH', KEYS[2], id)
    end
end
return #due
"""


def worker_name(suffix: str) -> str:
    """`<place>.<process id>.<suffix>`: in the same place, others can see whether that process still lives."""
    return f"{place_of_process_ids()}.{os.getpid()}.{suffix}"


def place_of_process_ids() -> str:
    """Where a process id means the same process: a host, and on Linux a boot and a namespace of it.

    Containers may share a host's name and have process ids of their own.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8])
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "-".join(parts)


class Recovery:
    """Finds and requeues jobs for the worker of this name."""

    def __init__(self, queue: Queue, own_name: str) -> None:
        self._queue = queue
        self._redis: Redis = queue.connection
        self._own_name = own_name
        self._requeue = self._redis.register_script(REQUEUE_SCRIPT)
        self._enqueue_due = self._redis.register_script(DUE_SCRIPT)

    def enqueue_due(self) -> int:
        """Queue the jobs whose time for another try has come; how many."""
        keys = [self._queue.scheduled_job_registry.key, self._queue.key]
        arguments: list[str | float] = [
            now().timestamp(),
            MOST_AT_ONCE,
            Job.key_for(""),
            JobStatus.QUEUED.value,
        ]
        return int(self._enqueue_due(keys=keys, args=arguments))

    def requeue_abandoned(self) -> None:
        """Queue the jobs that dead workers had in hand, before all others; to be called between two jobs.

        What this worker itself has in work then is a job whose taking it never heard of, as the answer was
        lost, or one that could not be booked as done, as its marker was not its own any more.
        """
        in_work = self._queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
        for job_id, execution_id in in_work:
            execution = Execution(execution_id, job_id, self._redis)
            owner = as_text(self._redis.hget(execution.key, "worker_name") or b"")
            # An execution is written with its entry here and outlives its job's time-out, so one that
            # is gone had a worker that is gone.
            if not owner or owner == self._own_name or self._is_dead(owner):
                if owner:
                    self._release_lock(job_id, owner)
                self._put_back(execution, owner or "unknown")

    def _put_back(self, execution: Execution, owner: str) -> None:
        keys = [self._queue.started_job_registry.key, self._queue.key, Job.key_for(execution.job_id)]
        arguments = [execution.composite_key, execution.job_id, JobStatus.QUEUED.value]
        if self._requeue(keys=keys, args=arguments):
            is_ours = owner == self._own_name
            get_logger("receiver.recovery").warning(
                "put back: nobody is at it" if is_ours else "took over from a dead worker",
                job=execution.job_id,
                worker=owner,
            )

    def _release_lock(self, job_id: str, owner: str) -> None:
        if names := marker_names_of_job(self._redis, job_id):
            markers = MarkerStore(self._redis, owner)
            for key in markers.resolve(names):
                markers.break_lock(key)

    def _is_dead(self, name: str) -> bool:
        """Whether it has deregistered, has given no sign of life for long, or its process here is gone."""
        key = SimpleWorker.redis_worker_namespace_prefix + name
        seen, died = self._redis.hmget(key, ["last_heartbeat", "death"])
        if seen is None or died is not None:
            return True
        place, _, process_id = name.rpartition(".")[0].rpartition(".")
        is_here = place == place_of_process_ids() and process_id.isdecimal()
        return is_here and not _is_other_process(int(process_id))


def _is_other_process(process_id: int) -> bool:
    """Whether that process runs and is not this one, which has another name now."""
    if process_id == os.getpid():
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
