"""Jobs that no worker runs: left by a worker that died, or due for a retry. All moves are atomic."""

import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis
from rq import Queue, SimpleWorker
from rq.executions import Execution
from rq.job import Job, JobStatus
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.datastore.keys import keys_of
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.marker_store import MarkerStore
from receiver.queue.queues import account_of, marker_names_of_job

MOST_AT_ONCE: Final = 500
FIRST_IN_QUEUE: Final = 20
"""Jobs that are looked at for markers which a dead worker had locked; others come to the front."""

REQUEUE_JOB: Final = Script("requeue_job")
ENQUEUE_DUE: Final = Script("enqueue_due")


def worker_name(suffix: str) -> str:
    """`<place>.<process id>.<suffix>`: others in that place can see whether the process is running."""
    return f"{place_of_process_ids()}.{os.getpid()}.{suffix}"


def place_of_process_ids() -> str:
    """Where a process id identifies a process: a host, and on Linux also its boot and the namespace of
    process ids.

    Containers may share the name of a host and have process ids of their own.
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

    def enqueue_due(self) -> int:
        """Queue the jobs whose retry is due; returns how many there were."""
        keys = [self._queue.scheduled_job_registry.key, self._queue.key]
        arguments: list[str | float] = [
            now().timestamp(),
            MOST_AT_ONCE,
            Job.key_for(""),
            JobStatus.QUEUED.value,
        ]
        return int(ENQUEUE_DUE.run(self._redis, keys, arguments))

    def requeue_abandoned(self, in_hand: Collection[str] = ()) -> None:
        """Queue the jobs of dead workers again, before all others and in the order in which they were.

        `in_hand` has the ids of the executions that this worker has dequeued and not finished. Another job
        that is in work for it is one that it dequeued without receiving Redis' reply, one that could not be
        acked because the lock of its marker was lost, or one that could not be given back.
        """
        in_work = self._queue.started_job_registry.get_job_and_execution_ids(cleanup=False)
        # Each is put before the others.
        for job_id, execution_id in reversed(in_work):
            if execution_id in in_hand:
                continue
            execution = Execution(execution_id, job_id, self._redis)
            owner = as_text(self._redis.hget(execution.key, "worker_name") or b"")
            # An execution is written together with its entry here and outlives the time-out of its job. If
            # it is gone, so is its worker.
            if not owner or owner == self._own_name or self._is_dead(owner):
                if owner:
                    self._release_lock(job_id, owner, execution_id)
                self._put_back(execution, owner or "unknown")

    def free_first_in_queue(self) -> None:
        """Release what dead workers had locked of the markers that the first jobs in the queue are about.

        A worker that could not release a lock, because Redis was unreachable just then, may lock the marker
        again itself. If it dies before, the lock would keep all others out until it expires.
        """
        for job_id in self._redis.lrange(self._queue.key, 0, FIRST_IN_QUEUE - 1):
            if not (names := marker_names_of_job(self._redis, as_text(job_id))):
                continue
            account = account_of(self._queue.name)
            (key, *_others) = MarkerStore(self._redis, self._own_name, account=account).resolve(names)
            holder = as_text(self._redis.get(f"{keys_of(account).lock}{key}") or b"")
            owner, _, unique = holder.rpartition(" ")
            if owner and owner != self._own_name and self._is_dead(owner):
                MarkerStore(self._redis, owner, account=account).break_lock(key, unique)
                get_logger("receiver.recovery").warning("released the lock of a dead worker", worker=owner)

    def _put_back(self, execution: Execution, owner: str) -> None:
        keys = [self._queue.started_job_registry.key, self._queue.key, Job.key_for(execution.job_id)]
        arguments = [execution.composite_key, execution.job_id, JobStatus.QUEUED.value]
        if REQUEUE_JOB.run(self._redis, keys, arguments):
            is_ours = owner == self._own_name
            get_logger("receiver.recovery").warning(
                "put back: nobody is at it" if is_ours else "took over from a dead worker",
                job=execution.job_id,
                worker=owner,
            )

    def _release_lock(self, job_id: str, owner: str, execution_id: str) -> None:
        """Release what a dead worker had locked, and of this worker only what came with the job."""
        if names := marker_names_of_job(self._redis, job_id):
            markers = MarkerStore(self._redis, owner, account=account_of(self._queue.name))
            for key in markers.resolve(names):
                markers.break_lock(key, execution_id if owner == self._own_name else "")

    def _is_dead(self, name: str) -> bool:
        """Whether it has deregistered, has given no sign of life for long, or ran here and has ended."""
        key = SimpleWorker.redis_worker_namespace_prefix + name
        seen, died = self._redis.hmget(key, ["last_heartbeat", "death"])
        if seen is None or died is not None:
            return True
        return has_ended_here(name)


def has_ended_here(name: str) -> bool:
    """Whether the worker of this name ran where this process runs, and its process has ended."""
    place, _, process_id = name.rpartition(".")[0].rpartition(".")
    is_here = place == place_of_process_ids() and process_id.isdecimal()
    return is_here and not _is_other_process(int(process_id))


def _is_other_process(process_id: int) -> bool:
    """Whether that process is running and is not this one, whose worker has another name now."""
    if process_id == os.getpid():
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
