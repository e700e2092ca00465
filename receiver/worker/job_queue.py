"""The worker's access to the queues: ack the job before and dequeue the next one, in one round trip.

RQ takes some fifty commands in eight round trips for this, which is most of what a worker does, and from
several queues it takes with a command that loses the job if the worker dies at that moment. Here a job goes
straight from its queue into work, as this worker's, together with a check of the pause and the budget: urgent
jobs first, none whose marker another worker has locked, none while delivery is paused or the budget is
exhausted. What is written is what RQ writes
(`rq.executions`, `Worker.prepare_job_execution`, `Job.delete`), so that its registries, its tools and its own
handling of failures and retries find what they expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from redis import Redis
from rq import Queue
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import utcformat
from rq.worker import WorkerStatus
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.budget import BUDGET, PAUSE, PERMIT_CONSTANTS, Permit
from receiver.delivery.marker_store import MARKER_CONSTANTS, LockReply, MarkerSave, new_token
from receiver.queue.queues import BELL, JOB_TIMEOUT
from receiver.queue.throughput import LIFETIME, key_of_this_minute
from receiver.worker.jobs import DeliveryJob

LONGEST_WAIT: Final = 1.0
"""Seconds between checks of the queues if the bell does not ring, as for retries and jobs put back."""
EXECUTION_LIFETIME: Final = JOB_TIMEOUT + 60
"""Seconds after which RQ takes a started job for abandoned; as `SimpleWorker.get_heartbeat_ttl`."""
MOST_PASSED_OVER: Final = 1_000
"""Jobs at the front of a queue that are passed over while another worker is busy with their markers."""

DEQUEUE: Final = Script(
    "dequeue",
    {
        **MARKER_CONSTANTS,
        **PERMIT_CONSTANTS,
        "JOB_STARTED": JobStatus.STARTED.value,
        "MOST_PASSED_OVER": MOST_PASSED_OVER,
        "WORKER_BUSY": WorkerStatus.BUSY.value,
        "WORKER_IDLE": WorkerStatus.IDLE.value,
    },
)
ACK: Final = Script("ack", {**MARKER_CONSTANTS, "WORKER_IDLE": WorkerStatus.IDLE.value})


@dataclass(frozen=True, slots=True)
class Dequeued:
    """A job in work, its queue, and the execution that makes it this worker's.

    It comes with the permit for its first request and with the lock of its marker. There is no `lock` if the
    marker cannot be read, or if the version that queued the job did not store the marker's names.
    """

    job: DeliveryJob
    queue: Queue
    execution: Execution
    permit: Permit
    lock: LockReply | None


@dataclass(frozen=True, slots=True)
class Ack:
    """An ack that is still to be sent, as `ack` in `ack.lua` takes it."""

    job_id: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | float]


class JobQueue:
    """The queues, the urgent one first, for the worker of this name, whose hash in Redis has this key."""

    def __init__(self, redis: Redis, queues: Sequence[Queue], worker_name: str, worker_key: str) -> None:
        self._redis = redis
        self._queues = {queue.key: queue for queue in queues}
        self._queue_keys = [key for queue in queues for key in (queue.key, queue.started_job_registry.key)]
        self._worker_name = worker_name
        self._worker_key = worker_key
        any_execution = Execution("", "", redis, worker_name)
        self._executions_key = any_execution.worker_executions_key
        self._prefixes = (
            Job.key_for(""),
            any_execution.key.removesuffix(any_execution.composite_key),
            ExecutionRegistry("", redis).key,
        )
        self._unsent: Ack | None = None

    def dequeue(self) -> Dequeued | None:
        """The next job, if there is one and it may be delivered now; sends the ack of the job before."""
        moment, execution_id, token = now(), uuid4().hex, new_token(self._worker_name)
        keys = [PAUSE, BUDGET, self._worker_key, self._executions_key, *self._queue_keys]
        arguments: list[str | bytes | float] = [
            moment.timestamp(),
            utcformat(moment),
            EXECUTION_LIFETIME,
            self._worker_name,
            execution_id,
            *self._prefixes,
            token,
        ]
        if self._unsent is not None:
            keys += self._unsent.keys
            arguments += self._unsent.arguments
        is_acked, found = DEQUEUE.run(self._redis, keys, arguments)
        self._note_ack(is_acked)
        if not found:
            return None
        queue_key, job_id, fields, permitted, locked = found
        queue = self._queues[as_text(queue_key)]
        job = DeliveryJob(as_text(job_id), self._redis, queue.serializer)
        job.restore(dict(zip(fields[::2], fields[1::2], strict=True)))
        execution = Execution(execution_id, job.id, self._redis, self._worker_name)
        lock = LockReply(token, *locked) if locked else None
        return Dequeued(job, queue, execution, Permit.read(permitted), lock)

    def wait_for_bell(self) -> None:
        """Return when something is queued, or after `LONGEST_WAIT`."""
        self._redis.blpop([BELL], timeout=LONGEST_WAIT)

    def ack(self, dequeued: Dequeued, seconds: float, save: MarkerSave | None = None) -> None:
        """The job is done and took so many seconds. `save` saves and releases its marker.

        Both are sent with the next `dequeue`, or by `flush_acks`; until then the job is in work. If the
        worker died before, another one would find the marker in doubt if a request had been made: it would
        look for an event that was created, and send an update a second time.
        """
        job = dequeued.job
        keys = [
            dequeued.queue.started_job_registry.key,
            self._worker_key,
            self._executions_key,
            key_of_this_minute(),
            dequeued.execution.key,
            ExecutionRegistry(job.id, self._redis).key,
            job.key,
            job.dependents_key,
            job.dependencies_key,
            Result.get_key(job.id),  # type: ignore[no-untyped-call]  # RQ has no types here
        ]
        arguments: list[str | bytes | float] = [dequeued.execution.composite_key, seconds, LIFETIME]
        if save is not None:
            arguments += [*save.keys, *save.arguments]
        self._unsent = Ack(job.id, keys, arguments)

    def flush_acks(self) -> None:
        """Send the ack of the job before, if it is still to be sent."""
        if self._unsent is not None:
            self._note_ack(ACK.run(self._redis, self._unsent.keys, self._unsent.arguments))

    def _note_ack(self, is_acked: object) -> None:
        """The ack was sent, if there was one; log if the job is not done after all."""
        sent, self._unsent = self._unsent, None
        if sent is not None and not is_acked:
            get_logger("receiver.worker").warning(
                "not acked: this worker has lost the lock of the marker; the job will be put back",
                job=sent.job_id,
            )
