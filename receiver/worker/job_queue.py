"""The worker's access to the queues: dequeue jobs, ack them, give them back; one round trip for several.

RQ takes some fifty commands in eight round trips for a job, which is most of what a worker does, and from
several queues it takes with a command that loses the job if the worker dies at that moment. Here jobs go
straight from their queue into work, as this worker's, together with a check of the pause and the budget:
urgent jobs first, none whose marker is locked, none while delivery is paused or the budget is exhausted. Each
account has queues, a pause and a budget of its own, and they are asked in turn. What is written is what RQ
writes (`rq.executions`, `Worker.prepare_job_execution`, `Job.delete`), so that its registries, its tools and
its own handling of failures and retries find what they expect.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from rq import Queue
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.utils import utcformat
from rq.worker import WorkerStatus

from apitraffic_events.timestamps import now
from receiver.datastore.keys import AccountKeys, keys_of
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.budget import PERMIT_CONSTANTS, Permit
from receiver.delivery.marker_scripts import MARKER_CONSTANTS, LockReply, MarkerSave, marker_constants
from receiver.queue.queues import BELL, JOB_TIMEOUT, account_of
from receiver.queue.throughput import key_of_this_minute
from receiver.worker.acks import Ack, Arguments, arguments_of
from receiver.worker.dequeued import Dequeued
from receiver.worker.doubt_notes import DoubtNotes
from receiver.worker.in_hand import InHand

LONGEST_WAIT: Final = 1.0
"""Seconds between checks of the queues if the bell does not ring, as for retries and jobs put back."""
EXECUTION_LIFETIME: Final = JOB_TIMEOUT + 60
"""Seconds after which RQ takes a started job for abandoned; as `SimpleWorker.get_heartbeat_ttl`."""
MOST_PASSED_OVER: Final = 1_000
"""Jobs at the front of a queue that are passed over while somebody is busy with their markers."""
TRIAL: Final = 2.0
"""Seconds after the end of a pause in which a worker takes one job at a time: it may be refused again."""


def dequeue_script(keys: AccountKeys) -> Script:
    """The step that dequeues jobs of one account."""
    return Script(
        "dequeue",
        {
            **marker_constants(keys),
            **PERMIT_CONSTANTS,
            "JOB_STARTED": JobStatus.STARTED.value,
            "MOST_PASSED_OVER": MOST_PASSED_OVER,
            "TRIAL": TRIAL,
            "WORKER_BUSY": WorkerStatus.BUSY.value,
            "WORKER_IDLE": WorkerStatus.IDLE.value,
        },
    )


DEQUEUE: Final = dequeue_script(AccountKeys())
ACK: Final = Script("ack", {**MARKER_CONSTANTS, "WORKER_IDLE": WorkerStatus.IDLE.value})
GIVE_BACK: Final = Script("give_back", {"WORKER_IDLE": WorkerStatus.IDLE.value})


class AccountQueues:
    """The queues of one account, the urgent one first, with its pause and its budget."""

    def __init__(self, account: str | None, queues: Sequence[Queue]) -> None:
        self.keys = keys_of(account)
        self.queue_keys = [key for queue in queues for key in (queue.key, queue.started_job_registry.key)]
        self.dequeue = DEQUEUE if account is None else dequeue_script(self.keys)


class JobQueue:
    """The queues, of each account the urgent one first.

    They are for the worker of this name, whose hash in Redis has this key. Its threads may use it at the same
    time.
    """

    def __init__(self, redis: Redis, queues: Sequence[Queue], worker_name: str, worker_key: str) -> None:
        self._redis = redis
        self._queues = {queue.key: queue for queue in queues}
        accounts = dict.fromkeys(account_of(queue.name) for queue in queues)
        self._in_turn = deque(
            AccountQueues(account, [queue for queue in queues if account_of(queue.name) == account])
            for account in accounts
        )
        """Another account is asked first each time, so that none waits for another one's backlog."""
        self._worker_name = worker_name
        self._worker_key = worker_key
        any_execution = Execution("", "", redis, worker_name)
        self._executions_key = any_execution.worker_executions_key
        self._prefixes = (
            Job.key_for(""),
            any_execution.key.removesuffix(any_execution.composite_key),
            ExecutionRegistry("", redis).key,
        )
        self.in_hand = InHand()
        self.doubts = DoubtNotes(redis, self.in_hand, (worker_key, self._executions_key))
        self.stored_state = ""
        """What Redis has as the worker's state."""
        self.dequeuing = threading.Lock()
        """Held while jobs of this worker are in work that are not in its hands yet."""

    def dequeue(self) -> Dequeued | None:
        """The next job, if there is one and it may be delivered now; sends the acks of those before."""
        return next(iter(self.dequeue_some(1)), None)

    def dequeue_some(self, most: int) -> list[Dequeued]:
        """As `dequeue`, at most so many jobs, in their order, each of another marker."""
        with self.dequeuing:
            found: list[Dequeued] = []
            try:
                for account in tuple(self._in_turn):
                    if len(found) < most:
                        found += self._dequeue_some(account, most - len(found))
            except BaseException:
                # They are in work as this worker's, and in nobody's hands: they will be put back.
                for dequeued in found:
                    self.in_hand.done_with(dequeued)
                raise
            self._in_turn.rotate(-1)
            return found

    def _dequeue_some(self, account: AccountQueues, most: int) -> list[Dequeued]:
        moment, held = now(), list(self.in_hand.locks)
        ids = [uuid4().hex for _ in range(most)]
        acks = self.in_hand.take_unsent()
        is_idle = self.in_hand.is_idle_without(acks)
        keys = [account.keys.pause, account.keys.budget, *self._keys(), *account.queue_keys]
        arguments: Arguments = [
            moment.timestamp(),
            utcformat(moment),
            EXECUTION_LIFETIME,
            self._worker_name,
            *self._prefixes,
            int(is_idle),
            most,
            *ids,
            len(held),
            *held,
        ]
        try:
            done, found = account.dequeue.run(self._redis, keys, arguments + arguments_of(acks))
        except BaseException:
            self.in_hand.put_back(acks)
            raise
        self.in_hand.note_sent(acks, done)
        if found:
            self.stored_state = WorkerStatus.BUSY
        elif is_idle and acks:
            self.stored_state = WorkerStatus.IDLE
        return [self._dequeued(account.keys.lock, *each) for each in found]

    def _dequeued(
        self,
        lock_prefix: str,
        queue_key: bytes,
        job_id: bytes,
        execution_id: bytes,
        fields: Sequence[bytes],
        permitted: Sequence[bytes],
        locked: Sequence[Any] | None,
    ) -> Dequeued:
        name, queue = as_text(job_id), self._queues[as_text(queue_key)]
        execution = Execution(as_text(execution_id), name, self._redis, self._worker_name)
        lock = None
        if locked:
            lock = LockReply(f"{self._worker_name} {execution.id}", *locked, lock_prefix=lock_prefix)
        of_job = dict(zip(fields[::2], fields[1::2], strict=True))
        dequeued = Dequeued(name, of_job, queue, execution, Permit.read(permitted), lock)
        self.in_hand.add(dequeued)
        return dequeued

    def wait_for_bell(self) -> None:
        """Return when something is queued, or after `LONGEST_WAIT`."""
        self._redis.blpop([BELL], timeout=LONGEST_WAIT)

    def ack(self, dequeued: Dequeued, seconds: float, save: MarkerSave | None = None) -> None:
        """The job is done and took so many seconds. `save` saves and releases its marker.

        Both are sent with what is sent next, or by `flush_acks`; until then the job is in work. If the worker
        died before, another one would find the marker in doubt if a request had been made: it would look for
        an event that was created, and send an update a second time.
        """
        executions_of_job = self._prefixes[2] + dequeued.id
        self.in_hand.send_later(dequeued, Ack.of(dequeued, seconds, save, executions_of_job))

    def flush_acks(self) -> None:
        """Send the acks that are still to be sent."""
        acks = self.in_hand.take_unsent()
        if not acks:
            return
        keys = [*self._keys(), BELL, *self._queues]
        is_idle = self.in_hand.is_idle_without(acks)
        try:
            done = ACK.run(self._redis, keys, [int(is_idle), *arguments_of(acks)])
        except BaseException:
            self.in_hand.put_back(acks)
            raise
        self.in_hand.note_sent(acks, done)
        if is_idle:
            self.stored_state = WorkerStatus.IDLE

    def give_back(self, jobs: Sequence[Dequeued]) -> None:
        """Put jobs that were not begun back to the front of their queues, in this order."""
        for dequeued in jobs:
            self.in_hand.done_with(dequeued)
        for account in dict.fromkeys(dequeued.account for dequeued in jobs):
            self._give_back(keys_of(account), [job for job in jobs if job.account == account])

    def _give_back(self, own: AccountKeys, jobs: Sequence[Dequeued]) -> None:
        arguments: Arguments = []
        for dequeued in reversed(jobs):
            execution, lock, queue = dequeued.execution, dequeued.lock, dequeued.queue
            is_locked = lock is not None and lock.fields
            arguments += [
                queue.key,
                queue.started_job_registry.key,
                execution.composite_key,
                Job.key_for(dequeued.id),
                dequeued.id,
                execution.key,
                self._prefixes[2] + dequeued.id,
                *((lock.key, lock.token) if lock is not None and is_locked else ("", "")),
                dequeued.permit.window or "",
            ]
        keys = [self._worker_key, self._executions_key, own.budget, BELL, *self._queues]
        is_idle = not self.in_hand.jobs
        GIVE_BACK.run(self._redis, keys, [JobStatus.QUEUED.value, int(is_idle), *arguments])
        if is_idle:
            self.stored_state = WorkerStatus.IDLE

    def _keys(self) -> Sequence[str]:
        return self._worker_key, self._executions_key, key_of_this_minute()
