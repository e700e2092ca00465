"""The worker: dequeues changes and delivers them, through crashes, restarts and outages of Redis.

It is RQ's `SimpleWorker`, which runs jobs in its own process: a fork for each job costs more than the job
itself (`make bench` shows both). What a fork would give is done here instead: jobs of a worker that died are
queued again, and the worker restarts itself when RQ's would quit.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq import Queue, Retry, SimpleWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.config.account import events_client
from receiver.config.settings import Settings
from receiver.datastore.acl import require_rights
from receiver.datastore.address import require_suitable_server
from receiver.datastore.failures import UNREACHABLE, explain
from receiver.datastore.when_full import connect_to_drain
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.observability.metrics import DeliveryMetrics
from receiver.queue.queues import delivery_queues
from receiver.worker.alert_checks import AlertChecks
from receiver.worker.attempts import DeliveryAttempts, GivenUp
from receiver.worker.job_queue import Dequeued, JobQueue
from receiver.worker.jobs import DeliveryJob
from receiver.worker.recovery import Recovery, worker_name

WORKER_TTL: Final = 30
"""Seconds without a sign of life after which a worker on another host counts as dead (RQ adds a minute)."""
HEARTBEAT_INTERVAL: Final = timedelta(seconds=5)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
SUSPENSION_INTERVAL: Final = 1.0
"""Seconds between checks whether workers have been suspended by `rq suspend`."""
RECOVERY_INTERVAL: Final = 15
"""Seconds between searches for jobs of dead workers."""
SCHEDULE_INTERVAL: Final = 0.5
"""Seconds between checks for retries that are due."""
RESTART_PAUSE: Final = 1.0
"""Seconds between attempts to start while Redis cannot be reached."""


class DeliveryWorker(SimpleWorker):
    """An RQ worker for the delivery queues.

    Set `run_job` before `work`: it makes an attempt at a job and says whether to retry it.
    """

    run_job: Callable[[DeliveryJob], Retry | None] | None = None

    def __init__(self, redis: Redis, budget: RequestBudget, stop: threading.Event | None = None) -> None:
        """`budget` counts the requests to the API. The worker sets `stop` when it is asked to stop, and does
        not start if it is set already.
        """
        self._budget = budget
        self._stop = stop or threading.Event()
        queues = delivery_queues(redis)
        super().__init__(
            [queue.name for queue in queues],
            name=worker_name(uuid4().hex[:8]),
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=RECOVERY_INTERVAL,
            log_job_description=False,
        )
        self.log_result_lifespan = False
        self._job_queue = JobQueue(redis, queues, self.name, self.key)
        self.markers = MarkerStore(redis, self.name, releases_with_ack=True)
        self._suspension_checked_at = -math.inf
        self._current_state = self._stored_state = ""
        self._dequeued: Dequeued | None = None
        self.recoveries = tuple(Recovery(queue, self.name) for queue in queues)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ has no types here

    def run_maintenance_tasks(self) -> None:
        """Put jobs back before RQ cleans up, which would lose those that a dead worker was rescheduling."""
        self._job_queue.flush_acks()
        for recovery in self.recoveries:
            recovery.requeue_abandoned()
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # see above

    def set_shutdown_requested_date(self) -> None:
        """RQ calls this in the signal handler, which must not fail if Redis cannot be reached."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # see above

    def unsubscribe(self) -> None:
        """End the thread that listens for commands before RQ wakes it.

        RQ wakes it first. A thread that is fast then listens again, and RQ waits a second for it in vain.
        """
        if self.pubsub_thread is not None:
            self.pubsub_thread.stop()
        super().unsubscribe()  # type: ignore[no-untyped-call]  # RQ has no types here

    def teardown(self) -> None:
        """Stop the thread that listens for commands, too: without Redis, RQ would leave it running."""
        try:
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

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Give a sign of life every few seconds, and not five times a job as RQ does."""
        if pipeline is not None or now() - (self.last_heartbeat or NEVER) >= HEARTBEAT_INTERVAL:
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Store the state only if Redis has another one."""
        self._current_state = state
        if state != self._stored_state:
            super().set_state(state, pipeline)
            self._stored_state = state

    def get_state(self) -> str:
        """RQ's signal handler asks for this: it lets a busy worker finish its job."""
        return self._current_state

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, already in work; `None` if the worker is to stop, or if there is none and no
        `timeout`.

        Other values of `timeout` and `max_idle_time` say when RQ does its maintenance, which is each second
        here.
        """
        while not self._stop.is_set():
            self.set_state(WorkerStatus.IDLE)
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if dequeued := self._dequeue():
                return dequeued.job, dequeued.queue
            if timeout is None or self._stop.is_set():
                break
            self._job_queue.wait_for_bell()
        return None

    def _dequeue(self) -> Dequeued | None:
        # From here on, RQ's signal handler lets the job be finished.
        self._current_state = WorkerStatus.BUSY
        self._dequeued = dequeued = self._job_queue.dequeue()
        if dequeued is None:
            self._current_state = WorkerStatus.IDLE
            return None
        self._stored_state = WorkerStatus.BUSY
        dequeued.job.run = self.run_job
        dequeued.job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]  # see above
        self.executions[dequeued.execution.id] = dequeued.execution
        self.last_heartbeat = dequeued.job.started_at
        self._budget.use_prefetched(dequeued.permit)
        self.markers.use_prefetched(dequeued.lock)
        return dequeued

    def prepare_execution(self, job: Job) -> Execution:
        return self._in_work(job).execution

    def _in_work(self, job: Job) -> Dequeued:
        if self._dequeued is None or self._dequeued.job is not job:
            raise RuntimeError("only a job that this worker has dequeued can be executed")
        return self._dequeued

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """What RQ does here has been done in one step when the job was dequeued."""

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """RQ also extends the time for the callbacks of a job; ours have none."""
        job.ended_at = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        seconds = (job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else 0.0
        self._job_queue.ack(self._in_work(job), seconds, self.markers.deferred_release())
        self.executions.pop(execution.id, None)
        self._stored_state = WorkerStatus.IDLE

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Release the job's marker, and log an unexpected error. A dead letter has been logged already.

        If Redis cannot be reached, nothing can be stored of the job; this worker takes it over after its
        restart.
        """
        if isinstance(exc_info[1], UNREACHABLE):
            raise exc_info[1]
        self.markers.release()
        if not isinstance(exc_info[1], GivenUp):
            get_logger("receiver.worker").error("delivery failed", job=job.id, exc_info=exc_info)


class RetryClock(threading.Thread):
    """Queues jobs whose retry is due.

    This is a thread of the worker in place of RQ's scheduler, which is a process of its own, quits when Redis
    restarts and leaves its lock behind when it is killed. Several at once do no harm: each move is atomic.
    """

    def __init__(self, recoveries: Iterable[Recovery | AlertChecks]) -> None:
        super().__init__(name="retry-clock", daemon=True)
        self._recoveries = tuple(recoveries)
        self._stopped = threading.Event()

    def run(self) -> None:
        log = get_logger("receiver.worker")
        was_away = False
        while not self._stopped.wait(SCHEDULE_INTERVAL):
            try:
                for recovery in self._recoveries:
                    recovery.enqueue_due()
                was_away = False
            except RedisError as error:
                if not was_away:
                    log.warning("retries wait for Redis", reason=explain(error))
                was_away = True
            except Exception:
                # Without this thread no retry would ever be made again, and the worker would look healthy.
                log.exception("looking for retries failed")

    def stop(self) -> None:
        self._stopped.set()
        self.join(timeout=5)


class RedisOutage(logging.Filter):
    """Drops RQ's tracebacks if the cause is only that Redis cannot be reached; the worker restarts itself.

    Also drops what RQ's thread for commands logs about it: the worker logs the same.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(argument, RedisConnectionError) for argument in arguments):
            return False
        if record.exc_info and isinstance(record.exc_info[1], RedisError):
            words = explain(record.exc_info[1])
            record.msg, record.args, record.exc_info = "Redis is away: %s", (words,), None
        return True


def run_worker(settings: Settings, metrics: DeliveryMetrics | None = None) -> None:
    """Deliver until SIGTERM or SIGINT; the current job is finished first. Counts in `metrics`.

    Raises `ConfigurationError` if a required setting is missing, if Redis is too old, or if its user lacks
    rights.
    """
    redis = connect_to_drain(settings.redis_url)
    budget = RequestBudget(redis)
    client = events_client(settings, budget)
    logging.getLogger("rq").setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(RedisOutage())
    log = get_logger("receiver.worker")
    stop = threading.Event()
    _stop_on_signals(stop)
    while not stop.is_set():
        try:
            require_rights(redis)
            require_suitable_server(redis)
            deliverer = partial(Deliverer, client, settle=timedelta(seconds=settings.delivery.settle))
            _work(redis, client.account_url, deliverer, budget, stop, metrics)
        except RedisError as error:
            log.warning("Redis is away; trying again", reason=explain(error), in_s=RESTART_PAUSE)
        stop.wait(RESTART_PAUSE)
    client.close()
    log.info("worker stopped")


def _work(
    redis: Redis,
    api: str,
    deliverer: Callable[..., Deliverer],
    budget: RequestBudget,
    stop: threading.Event,
    metrics: DeliveryMetrics | None,
) -> None:
    """Run an RQ worker until it ends; `stop` is set if that is because it was asked to."""
    worker = DeliveryWorker(redis, budget, stop)
    clock = RetryClock((*worker.recoveries, AlertChecks(redis)))
    get_logger("receiver.worker").info("worker started", name=worker.name, api=api)
    clock.start()
    try:
        worker.run_job = DeliveryAttempts(deliverer(markers=worker.markers, budget=budget), metrics).make
        worker.work(logging_level="WARNING")
    except StopRequested:
        pass
    finally:
        # RQ's handlers belong to the worker that has just ended.
        _stop_on_signals(stop)
        clock.stop()


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
