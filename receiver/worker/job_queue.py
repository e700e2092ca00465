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
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq import Queue
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import utcformat
from rq.worker import WorkerStatus
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.datastore.keys import AccountKeys, keys_of
from receiver.datastore.replication import Unreplicated
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.budget import PERMIT_CONSTANTS, Permit
from receiver.delivery.marker_store import (
    MARKER_CONSTANTS,
    LockReply,
    MarkerSave,
    MustWait,
    marker_constants,
)
from receiver.queue.queues import BELL, JOB_TIMEOUT, account_of
from receiver.queue.throughput import LIFETIME, key_of_this_minute

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
NOTE_DOUBTS: Final = Script("note_doubts", MARKER_CONSTANTS)
GIVE_BACK: Final = Script("give_back", {"WORKER_IDLE": WorkerStatus.IDLE.value})

Arguments = list[str | bytes | float]


@dataclass(frozen=True)
class Dequeued:
    """A job in work, with the fields that Redis has of it, and the execution that makes it this worker's.

    It comes with the permit for its first request and with the lock of its marker. There is no `lock` if the
    marker cannot be read, or if the version that queued the job did not store the marker's names.
    """

    id: str
    fields: Mapping[bytes, bytes]
    queue: Queue
    execution: Execution
    permit: Permit
    lock: LockReply | None
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def account(self) -> str | None:
        """Whose change it is: an account in apitraffic.toml, or `None` for APITRAFFIC_ACCOUNT_SID."""
        return account_of(self.queue.name)

    @property
    def data(self) -> bytes:
        """Its call, which RQ may have compressed."""
        return self.fields[b"data"]

    @property
    def accepted_at(self) -> str | None:
        return as_text(self.fields.get(b"created_at")) or None

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """Before this attempt; an attempt that fails changes that of `job`."""
        meta = self.fields.get(b"meta")
        return self.queue.serializer.loads(meta) if meta else {}

    @cached_property
    def job(self) -> Job:
        """As RQ knows it. To make it takes as long as to read the change, so that is done if it failed."""
        job = Job(self.id, self.queue.connection, self.queue.serializer)
        job.restore(self.fields)
        return job


@dataclass(frozen=True, slots=True)
class Ack:
    """An ack that is still to be sent, as `ack_all` in `ack.lua` takes it; `token` locks its marker."""

    job_id: str
    execution_id: str
    token: str | bytes | float | None
    arguments: Sequence[str | bytes | float]


class Doubt:
    """A doubt that is to be noted; `reply` is what `note_doubts.lua` returns for it."""

    __slots__ = ("account", "error", "reply", "save")

    def __init__(self, save: MarkerSave, account: str | None) -> None:
        self.save = save
        self.account = account
        self.reply: str | None = None
        self.error: BaseException | None = None


class AccountQueues:
    """The queues of one account, the urgent one first, with its pause and its budget."""

    def __init__(self, account: str | None, queues: Sequence[Queue]) -> None:
        self.keys = keys_of(account)
        self.queue_keys = [key for queue in queues for key in (queue.key, queue.started_job_registry.key)]
        self.dequeue = DEQUEUE if account is None else dequeue_script(self.keys)


class JobQueue:
    """The queues, of each account the urgent one first.

    They are for the worker of this name, whose hash in Redis has this key.

    The worker's threads may use it at the same time. `held` has the tokens of the locks that they hold.
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
        self.held: set[str] = set()
        self.in_hand: dict[str, Dequeued] = {}
        """By the id of its execution, each job that was dequeued here and is still this worker's."""
        self.stored_state = ""
        """What Redis has as the worker's state."""
        self._unsent: deque[Ack] = deque()
        self._doubts: deque[Doubt] = deque()
        self._noting = threading.Lock()
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
                    self.done_with(dequeued)
                raise
            self._in_turn.rotate(-1)
            return found

    def _dequeue_some(self, account: AccountQueues, most: int) -> list[Dequeued]:
        moment, held = now(), list(self.held)
        ids = [uuid4().hex for _ in range(most)]
        acks = self._take_acks()
        is_idle = self._is_idle_without(acks)
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
            done, found = account.dequeue.run(self._redis, keys, arguments + _of_acks(acks))
        except BaseException:
            self._unsent.extendleft(reversed(acks))
            raise
        self._note_acks(acks, done)
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
        if lock is not None and lock.fields:
            self.held.add(lock.token)
        of_job = dict(zip(fields[::2], fields[1::2], strict=True))
        dequeued = Dequeued(name, of_job, queue, execution, Permit.read(permitted), lock)
        self.in_hand[execution.id] = dequeued
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
        execution, job_key = dequeued.execution, Job.key_for(dequeued.id)
        stored = (
            job_key,
            execution.key,
            self._prefixes[2] + dequeued.id,
            Job.dependents_key_for(dequeued.id),
            f"{Job.redis_job_namespace_prefix}:{dequeued.id}:dependencies",
            Result.get_key(dequeued.id),  # type: ignore[no-untyped-call]  # RQ has no types here
        )
        saved = () if save is None else (*save.keys, *save.arguments)
        arguments = (
            dequeued.queue.started_job_registry.key,
            execution.composite_key,
            seconds,
            len(stored),
            *stored,
            len(saved),
            *saved,
        )
        token = save.arguments[0] if save is not None else None
        if dequeued.lock is not None and token != dequeued.lock.token:
            self.held.discard(dequeued.lock.token)
        self._unsent.append(Ack(dequeued.id, execution.id, token, arguments))

    def flush_acks(self) -> None:
        """Send the acks that are still to be sent."""
        acks = self._take_acks()
        if not acks:
            return
        keys = [*self._keys(), BELL, *self._queues]
        is_idle = self._is_idle_without(acks)
        try:
            done = ACK.run(self._redis, keys, [int(is_idle), *_of_acks(acks)])
        except BaseException:
            self._unsent.extendleft(reversed(acks))
            raise
        self._note_acks(acks, done)
        if is_idle:
            self.stored_state = WorkerStatus.IDLE

    def note_doubt(self, save: MarkerSave, account: str | None = None) -> bool:
        """Save the account's marker before a request about it begins; returns whether its lock was still
        held.

        What several threads want noted meanwhile, and the acks that are to be sent, go along. Raises
        `MustWait` if delivery to the account is paused or its budget is used up, and as `MarkerLock.save`
        does.
        """
        doubt = Doubt(save, account)
        self._doubts.append(doubt)
        with self._noting:
            while doubt.reply is None and doubt.error is None:
                self._note_doubts()
        if doubt.error is not None:
            raise doubt.error
        if doubt.reply == "wait":
            raise MustWait
        return doubt.reply == "1"

    def _note_doubts(self) -> None:
        """Those that come first and are of the same account."""
        doubts = [self._doubts.popleft()]
        while self._doubts and self._doubts[0].account == doubts[0].account:
            doubts.append(self._doubts.popleft())
        own = keys_of(doubts[0].account)
        acks = self._take_acks()
        saves: Arguments = [word for doubt in doubts for word in (*doubt.save.keys, *doubt.save.arguments)]
        arguments = [now().timestamp(), len(doubts), len(saves) // len(doubts), *saves, *_of_acks(acks)]
        try:
            done, replies = NOTE_DOUBTS.run_replicated(
                self._redis, [*self._keys(), own.pause, own.budget], arguments
            )
        except BaseException as error:
            self._unsent.extendleft(reversed(acks))
            is_of_all = isinstance(error, RedisError | Unreplicated)
            for doubt in doubts:
                # What interrupts this thread is not the others' concern: they try again.
                doubt.error = error if is_of_all else RedisConnectionError("sending was interrupted")
            if not is_of_all:
                raise
            return
        self._note_acks(acks, done)
        for doubt, reply in zip(doubts, replies, strict=True):
            doubt.reply = as_text(reply)

    def give_back(self, jobs: Sequence[Dequeued]) -> None:
        """Put jobs that were not begun back to the front of their queues, in this order."""
        for dequeued in jobs:
            self.done_with(dequeued)
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
        is_idle = not self.in_hand
        GIVE_BACK.run(self._redis, keys, [JobStatus.QUEUED.value, int(is_idle), *arguments])
        if is_idle:
            self.stored_state = WorkerStatus.IDLE

    def done_with(self, dequeued: Dequeued) -> None:
        """The job is not this worker's any more: it was given back, or RQ has dealt with its failure."""
        self.in_hand.pop(dequeued.execution.id, None)
        if dequeued.lock is not None:
            self.held.discard(dequeued.lock.token)

    def _keys(self) -> Sequence[str]:
        return self._worker_key, self._executions_key, key_of_this_minute()

    def _take_acks(self) -> list[Ack]:
        taken: list[Ack] = []
        with suppress(IndexError):
            while True:
                taken.append(self._unsent.popleft())
        return taken

    def _is_idle_without(self, acks: Sequence[Ack]) -> bool:
        return set(self.in_hand) <= {ack.execution_id for ack in acks}

    def _note_acks(self, acks: Sequence[Ack], done: Iterable[int]) -> None:
        """These were sent; log if a job is not done after all."""
        for ack, is_done in zip(acks, done, strict=True):
            self.in_hand.pop(ack.execution_id, None)
            self.held.discard(str(ack.token))
            if not is_done:
                get_logger("receiver.worker").warning(
                    "not acked: this worker has lost the lock of the marker; the job will be put back",
                    job=ack.job_id,
                )


def _of_acks(acks: Sequence[Ack]) -> Arguments:
    """As `ack_all` takes them."""
    return [LIFETIME, len(acks), *(word for ack in acks for word in ack.arguments)]
