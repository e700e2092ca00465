"""Jobs that nobody works on: left by a worker that died, or due for another try. All moves are atomic."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis
from rq import Queue, SimpleWorker
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import as_text
from rq.worker_registration import get_keys
from structlog import get_logger

from receiver.events import Change
from receiver.markers import MarkerStore
from receiver.timestamps import now

MOST_AT_ONCE: Final = 500

REQUEUE_SCRIPT: Final = """
-- KEYS: jobs in work, jobs on the way to a worker, queue, job. ARGV: execution, job id, status
local was_ours = redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('LREM', KEYS[2], 1, ARGV[2])
if was_ours > 0 and redis.call('EXISTS', KEYS[4]) == 1 then
    redis.call('HSET', KEYS[4], 'status', ARGV[3])
    redis.call('LPUSH', KEYS[3], ARGV[2])
end
return was_ours
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
        self._on_the_way_before: frozenset[str] = frozenset()
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
        """Queue the jobs that dead workers had in hand or had just taken, before all others."""
        in_work = self._queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
        for job_id, execution_id in in_work:
            execution = Execution(execution_id, job_id, self._redis)
            owner = as_text(self._redis.hget(execution.key, "worker_name") or b"")
            # An execution is written with its entry here and outlives its job's time-out, so one that
            # is gone had a worker that is gone.
            if not owner or self._is_dead(owner):
                if owner:
                    self._release_lock(job_id, owner)
                self._put_back(job_id, execution.composite_key, owner or "unknown")
        self._requeue_stranded({job_id for job_id, _ in in_work})

    def _requeue_stranded(self, in_work: set[str]) -> None:
        """A job is on the way to a worker for milliseconds; one seen twice here has lost its worker."""
        on_the_way = frozenset(self._queue.intermediate_queue.get_job_ids()) - in_work
        is_alone = not any(
            name != self._own_name and not self._is_dead(name) for name in self._worker_names()
        )
        for job_id in on_the_way if is_alone else on_the_way & self._on_the_way_before:
            self._put_back(job_id, "", "unknown")
        self._on_the_way_before = on_the_way

    def _put_back(self, job_id: str, composite_key: str, owner: str) -> None:
        queue = self._queue
        keys = [queue.started_job_registry.key, queue.intermediate_queue_key, queue.key, Job.key_for(job_id)]
        if self._requeue(keys=keys, args=[composite_key, job_id, JobStatus.QUEUED.value]):
            get_logger("receiver.recovery").warning("took over from a dead worker", job=job_id, worker=owner)

    def _release_lock(self, job_id: str, owner: str) -> None:
        job = self._queue.fetch_job(job_id)
        if job is not None and job.args:
            markers = MarkerStore(self._redis, owner)
            for key in markers.resolve(Change.model_validate(job.args[0]).names):
                markers.break_lock(key)

    def _worker_names(self) -> Iterable[str]:
        prefix = SimpleWorker.redis_worker_namespace_prefix
        return (as_text(key).removeprefix(prefix) for key in get_keys(queue=self._queue))

    def _is_dead(self, name: str) -> bool:
        """Whether it has deregistered, has given no sign of life for long, or its process here is gone."""
        if name == self._own_name:
            return False
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
