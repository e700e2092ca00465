"""The worker: dequeues changes and delivers them, through crashes, restarts and outages of Redis.

It is RQ's `SimpleWorker`, which runs jobs in its own process: a fork for each job costs more than the job
itself (`make bench` shows both). What a fork would give is done here instead: jobs of a worker that died are
queued again, and the worker restarts itself when RQ's would quit.
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import FrameType
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.worker import WorkerStatus

from apitraffic_events.timestamps import now
from receiver.delivery.budget import RequestBudget
from receiver.delivery.marker_store import MarkerStore
from receiver.queue.queues import JOB_TIMEOUT, delivery_queues
from receiver.worker.batch import Batch
from receiver.worker.dequeued import Dequeued
from receiver.worker.helper import Helper
from receiver.worker.job_queue import JobQueue
from receiver.worker.job_runner import JobRunner
from receiver.worker.quiet_worker import QuietWorker
from receiver.worker.recovery import Recovery, worker_name
from receiver.worker.resources import AccountResources, RunJob, ThreadResources
from receiver.worker.wake_up import WakeUp

WORKER_TTL: Final = 30
"""Seconds without a sign of life after which a worker on another host counts as dead (RQ adds a minute)."""
SUSPENSION_INTERVAL: Final = 1.0
"""Seconds between checks whether workers have been suspended by `rq suspend`."""
RECOVERY_INTERVAL: Final = 15
"""Seconds between searches for jobs of dead workers."""
HELD_UP: Final = 0.05
"""Seconds after which the worker's own thread, which dequeues, counts as held up by its job."""
LONGEST_TURN: Final = 1.0
"""Seconds after which the worker's own thread begins no further job before it gives a sign of life."""


class DeliveryWorker(QuietWorker):
    """An RQ worker for the delivery queues.

    Set `run_job` before `work`. RQ's loop makes one turn for each batch, whose jobs are run by this thread
    and by helpers, if `employ` was called. RQ itself deals with what fails or is to be retried.
    """

    run_job: RunJob | None = None

    def __init__(
        self,
        redis: Redis,
        budget: RequestBudget,
        stop: WakeUp | None = None,
        accounts: Mapping[str, ThreadResources] | None = None,
    ) -> None:
        """`budget` counts the requests to the API. The worker sets `stop` when it is asked to stop, and does
        not start if it is set already. `accounts` is as in `ThreadResources`, for the worker's own thread.
        """
        self._budget = budget
        self.accounts: tuple[str | None, ...] = (None, *(accounts or ()))
        queues = tuple(queue for account in self.accounts for queue in delivery_queues(redis, account))
        super().__init__(
            stop or WakeUp(),
            [queue.name for queue in queues],
            name=worker_name(uuid4().hex[:8]),
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=RECOVERY_INTERVAL,
            log_job_description=False,
        )
        self.wants_attention = WakeUp()
        """Set if `look_after_batch` is to be called at once."""
        self._job_queue = JobQueue(redis, queues, self.name, self.key)
        self._batch = Batch(self._give_back, threads=1)
        self._runner = JobRunner(self, self._job_queue, self._batch)
        self._helpers: tuple[Helper, ...] = ()
        self.markers = self._marker_store()
        self._resources = self._of_accounts(accounts or {})
        self._suspension_checked_at = -math.inf
        self._began: float | None = None
        self._is_ending = False
        self.recoveries = tuple(Recovery(queue, self.name) for queue in queues)

    def employ(self, helpers: Sequence[ThreadResources]) -> None:
        """Also run jobs in a further thread for each of these."""
        self._batch.threads = 1 + len(helpers)
        self._helpers = tuple(self._helper(each, number) for number, each in enumerate(helpers))

    def _helper(self, own: ThreadResources, number: int) -> Helper:
        markers = self._marker_store()
        resources = self._of_accounts(own.accounts)
        resources[None] = AccountResources(own.budget, markers, own.attempts(markers))

        def run(dequeued: Dequeued, helper: Helper) -> None:
            self._runner.run(dequeued, resources[dequeued.account], helper.limited)

        return Helper(f"delivery-{number}", self._batch, run, self._helper_has_nothing)

    def _of_accounts(self, accounts: Mapping[str, ThreadResources]) -> dict[str | None, AccountResources]:
        resources: dict[str | None, AccountResources] = {}
        for account, own in accounts.items():
            markers = self._marker_store(account)
            resources[account] = AccountResources(own.budget, markers, own.attempts(markers))
        return resources

    def _marker_store(self, account: str | None = None) -> MarkerStore:
        return MarkerStore(
            self.connection,
            self.name,
            releases_with_ack=True,
            held=self._job_queue.in_hand.locks,
            note_doubt=partial(self._job_queue.doubts.note, account=account),
            account=account,
        )

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop.set()
        self.wants_attention.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ has no types here

    def run_maintenance_tasks(self) -> None:
        """Put jobs back before RQ cleans up, which would lose those that a dead worker was rescheduling."""
        self._job_queue.flush_acks()
        with self._job_queue.dequeuing:
            for recovery in self.recoveries:
                recovery.requeue_abandoned(set(self._job_queue.in_hand.jobs))
                recovery.free_first_in_queue()
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # see above

    def teardown(self) -> None:
        """Give back what was not begun, and wait for the helpers. Also stop the thread that listens for
        commands: without Redis, RQ would leave it running.
        """
        self._is_ending = True
        try:
            try:
                self._batch.give_back()
            finally:
                # A worker that begins after this one takes what is left of it for abandoned.
                for helper in self._helpers:
                    helper.stop()
            self._batch.give_back()
            self._job_queue.flush_acks()
            super().teardown()  # type: ignore[no-untyped-call]  # see above
        finally:
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()

    def check_for_suspension(self, burst: bool) -> None:
        """Check for `rq suspend` once a second, and not before each job as RQ does.

        Ends the work if the worker was asked to stop before RQ listened to signals.
        """
        if self._stop.is_set():
            raise StopRequested
        if time.monotonic() - self._suspension_checked_at >= SUSPENSION_INTERVAL:
            self._job_queue.flush_acks()
            super().check_for_suspension(burst)
            self._suspension_checked_at = time.monotonic()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Store the state only if Redis has another one."""
        self._current_state = state
        if state != self._job_queue.stored_state:
            super().set_state(state, pipeline)
            self._job_queue.stored_state = state

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Any, Queue] | None:
        """The first job of the next batch, already in work; `None` if the worker is to stop, or if there is
        none and no `timeout`.

        Other values of `timeout` and `max_idle_time` say when RQ does its maintenance, which is each second
        here.
        """
        while not self._stop.is_set():
            self._raise_what_ended_a_helper()
            if not self._job_queue.in_hand.jobs:
                self.set_state(WorkerStatus.IDLE)
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            # Asked before: what a helper gives back in between is in the queue again.
            had_jobs = bool(self._job_queue.in_hand.jobs)
            if dequeued := self._dequeue():
                # RQ only passes it on, to `execute_job`.
                return dequeued, dequeued.queue
            if (timeout is None and not had_jobs) or self._stop.is_set():
                break
            self._job_queue.wait_for_bell()
        return None

    def _raise_what_ended_a_helper(self) -> None:
        for helper in self._helpers:
            if helper.error is not None:
                raise helper.error

    def _dequeue(self) -> Dequeued | None:
        """The first job of the next batch; the helpers begin with the others."""
        # From here on, RQ's signal handler lets the job be finished.
        self._current_state = WorkerStatus.BUSY
        jobs = self._job_queue.dequeue_some(self._batch.size)
        if not jobs:
            self._current_state = WorkerStatus.IDLE
            return None
        self.last_heartbeat = now()
        first, *others = jobs
        self._hand_out(others)
        return first

    def _hand_out(self, jobs: Sequence[Dequeued]) -> None:
        self._batch.put(jobs)
        for helper in self._helpers[: len(jobs)]:
            helper.wake()

    def _stand_in(self) -> bool:
        """Dequeue jobs for the helpers if this worker's own thread, which does that, is held up by its job.

        Returns whether there were any.
        """
        began = self._began
        if began is None or time.monotonic() - began < HELD_UP or self._must_end:
            return False
        jobs = self._job_queue.dequeue_some(self._batch.size)
        self._hand_out(jobs)
        if self._must_end:
            self._batch.give_back()
        return bool(jobs)

    @property
    def _must_end(self) -> bool:
        return self._is_ending or self._stop.is_set()

    def _helper_has_nothing(self) -> bool:
        self._job_queue.flush_acks()
        return self._stand_in()

    def execute_job(self, job: Any, queue: Queue) -> None:
        """Run the jobs of the batch, beside the helpers. `job` is the first of them."""
        dequeued: Dequeued | None = job
        own = AccountResources(self._budget, self.markers, self.run_job)
        began, number = time.perf_counter(), 0
        while dequeued is not None:
            self._began = time.monotonic()
            self._runner.run(dequeued, self._resources.get(dequeued.account, own), self._limited)
            self._began = None
            number += 1
            # Helpers may dequeue, too, and RQ's loop has other things to do.
            is_over = self._must_end or time.perf_counter() - began > LONGEST_TURN
            dequeued = None if is_over else self._batch.take()
        # This thread and the helpers share the batch, and take about as many jobs each.
        self._batch.measured(number * (1 + len(self._helpers)), time.perf_counter() - began)
        self._current_state = WorkerStatus.IDLE

    def _limited(self, job_id: str) -> AbstractContextManager[None]:
        penalty: AbstractContextManager[None] = self.death_penalty_class(
            JOB_TIMEOUT, JobTimeoutException, job_id=job_id
        )
        return penalty

    def look_after_batch(self) -> None:
        """Give back what waits too long, or at once if the worker is to stop, and find work for idle helpers.

        Another thread calls this every half a second, because all others may be waiting for the API.
        """
        if self._stop.is_set():
            self._batch.give_back()
        else:
            self._batch.give_back_if_late()
            if any(helper.is_idle for helper in self._helpers):
                self._stand_in()
        for helper in self._helpers:
            helper.interrupt_if_late()

    def _give_back(self, jobs: Sequence[Dequeued]) -> None:
        if jobs:
            for budget in (self._budget, *(each.budget for each in self._resources.values())):
                budget.forget_counted()
            self._job_queue.give_back(jobs)
