"""The worker: takes changes off the queue and delivers them, through crashes, restarts and Redis' absence.

RQ's `SimpleWorker` runs jobs in its own process: a fork for each job costs more than the job itself
(`make bench` shows both). What that gives up is made good here: jobs of a worker that died are queued again,
and the worker starts anew where RQ's would quit.
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
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
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
from receiver.datastore.address import connect, require_suitable_server
from receiver.datastore.failures import AWAY, in_words
from receiver.delivery.budget import Pacing
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.markers import MarkerStore
from receiver.observability.metrics import DeliveryMetrics
from receiver.queue.queues import delivery_queues
from receiver.worker.bookkeeping import Bookkeeping, Taken
from receiver.worker.jobs import DeadLetter, delivering_with
from receiver.worker.recovery import Recovery, worker_name

WORKER_TTL: Final = 30
"""Seconds without a sign of life after which a worker on another host counts as dead (RQ adds a minute)."""
HEARTBEAT_INTERVAL: Final = timedelta(seconds=5)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
SUSPENSION_INTERVAL: Final = 1.0
"""Seconds between looks whether `rq suspend` was said."""
RECOVERY_INTERVAL: Final = 15
"""Seconds between looks for jobs that a dead worker left."""
SCHEDULE_INTERVAL: Final = 0.5
"""Seconds between looks for retries that are due."""
RESTART_PAUSE: Final = 1.0
"""Seconds between attempts to start while Redis is away."""


class DeliveryWorker(SimpleWorker):
    """An RQ worker for the delivery queue that puts back what dead ones had in hand."""

    def __init__(self, redis: Redis, pacing: Pacing, stop: threading.Event | None = None) -> None:
        """`pacing` is the one of its requests to the API.

        `stop` is set where somebody wanted it to stop before it listened to signals itself.
        """
        self._pacing = pacing
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
        self._bookkeeping = Bookkeeping(redis, queues, self.name, self.key)
        self.markers = MarkerStore(redis, self.name, closes_with_job=True)
        self._looked_for_suspension_at = -math.inf
        self._state_told = ""
        self._taken: Taken | None = None
        self.recoveries = tuple(Recovery(queue, self.name) for queue in queues)

    @property
    def was_asked_to_stop(self) -> bool:
        return self._shutdown_requested_date is not None

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ has no types here
        if self._stop.is_set():
            self._shutdown_requested_date = now()
            self._stop_requested = True

    def run_maintenance_tasks(self) -> None:
        """Put jobs back before RQ looks: its clean-up forgets some that a dead worker was rescheduling."""
        self._bookkeeping.book()
        for recovery in self.recoveries:
            recovery.requeue_abandoned()
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # RQ has no types here

    def set_shutdown_requested_date(self) -> None:
        """RQ writes this from within the signal handler, which must not fail for want of Redis."""
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
        """End also the thread that listens for commands, where Redis is away and RQ would leave it."""
        try:
            self._bookkeeping.book()
            super().teardown()  # type: ignore[no-untyped-call]  # see above
        finally:
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` is obeyed within a second; RQ asks Redis before each job."""
        if time.monotonic() - self._looked_for_suspension_at >= SUSPENSION_INTERVAL:
            self._bookkeeping.book()
            super().check_for_suspension(burst)
            self._looked_for_suspension_at = time.monotonic()

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ gives a sign of life five times a job; its lifetime is many times this interval."""
        if pipeline is not None or now() - (self.last_heartbeat or NEVER) >= HEARTBEAT_INTERVAL:
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """RQ's signal handler goes by the state here; Redis need not be told what it knows."""
        self._state = state
        if state != self._state_told:
            super().set_state(state, pipeline)
            self._state_told = state

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job, in work already; `None` where there is none and `timeout` is, or we are to stop.

        Other values of `timeout` and `max_idle_time` say when RQ looks after itself: here it is each second.
        """
        while not self._stop_requested:
            self.set_state(WorkerStatus.IDLE)
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if taken := self._take():
                return taken.job, taken.queue
            if timeout is None or self._stop_requested:
                break
            self._bookkeeping.wait_for_bell()
        return None

    def _take(self) -> Taken | None:
        # From here on RQ's signal handler lets what is in hand be finished.
        self._state = WorkerStatus.BUSY
        self._taken = taken = self._bookkeeping.take()
        if taken is None:
            self._state = WorkerStatus.IDLE
            return None
        self._state_told = WorkerStatus.BUSY
        taken.job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]  # see above
        self.executions[taken.execution.id] = taken.execution
        self.last_heartbeat = taken.job.started_at
        self._pacing.come_with(taken.permit)
        self.markers.come_with(taken.opening)
        return taken

    def prepare_execution(self, job: Job) -> Execution:
        return self._in_hand(job).execution

    def _in_hand(self, job: Job) -> Taken:
        if self._taken is None or self._taken.job is not job:
            raise RuntimeError("only a job that this worker has taken can be executed")
        return self._taken

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """All that RQ does here has been done in one step with what comes before."""

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """RQ gives the callbacks of a job, of which ours have none, some more time."""
        job.ended_at = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry, execution: Execution
    ) -> None:
        seconds = (job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else 0.0
        self._bookkeeping.finish(self._in_hand(job), seconds, self.markers.closing())
        self.executions.pop(execution.id, None)
        self._state_told = WorkerStatus.IDLE

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log what was not foreseen; a dead letter has been logged already, with the API's words.

        The job's marker is for others again. Where Redis is away nothing can be noted of the job: this
        worker's next life takes it over.
        """
        if isinstance(exc_info[1], AWAY):
            raise exc_info[1]
        self.markers.let_go()
        if not isinstance(exc_info[1], DeadLetter):
            get_logger("receiver.worker").error("delivery failed", job=job.id, exc_info=exc_info)


class RetryClock(threading.Thread):
    """Queues jobs whose next try is due.

    A thread of the worker and not RQ's scheduler, which is a process of its own, quits when Redis restarts
    and leaves its lock behind when it is killed. Several at once do no harm: each move is atomic.
    """

    def __init__(self, recoveries: Iterable[Recovery]) -> None:
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
                    log.warning("retries wait for Redis", reason=in_words(error))
                was_away = True
            except Exception:
                # Without this thread no retry would ever be made again, and the worker would look well.
                log.exception("looking for retries failed")

    def stop(self) -> None:
        self._stopped.set()
        self.join(timeout=5)


class RedisOutage(logging.Filter):
    """Takes RQ's tracebacks away where the cause is only that Redis is away; the worker starts anew.

    And what its thread for commands says of it: the worker says the same.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(each, RedisConnectionError) for each in said):
            return False
        if record.exc_info and isinstance(record.exc_info[1], RedisError):
            words = in_words(record.exc_info[1])
            record.msg, record.args, record.exc_info = "Redis is away: %s", (words,), None
        return True


def run_worker(settings: Settings, metrics: DeliveryMetrics | None = None) -> None:
    """Deliver until SIGTERM or SIGINT; the job in hand is finished first. Counts in `metrics`.

    Raises `ConfigurationError` where something that is needed is not set, and where Redis is too old or does
    not let us do what is needed.
    """
    redis = connect(settings.redis_url)
    pacing = Pacing(redis)
    client = events_client(settings, pacing)
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
            _work(redis, client.account_url, deliverer, pacing, stop, metrics)
        except RedisError as error:
            log.warning("Redis is away; trying again", reason=in_words(error), in_s=RESTART_PAUSE)
        stop.wait(RESTART_PAUSE)
    client.close()
    log.info("worker stopped")


def _work(
    redis: Redis,
    api: str,
    deliverer: Callable[..., Deliverer],
    pacing: Pacing,
    stop: threading.Event,
    metrics: DeliveryMetrics | None,
) -> None:
    """One life of an RQ worker; sets `stop` where it ended because it was asked to."""
    worker = DeliveryWorker(redis, pacing, stop)
    clock = RetryClock(worker.recoveries)
    get_logger("receiver.worker").info("worker started", name=worker.name, api=api)
    clock.start()
    try:
        with delivering_with(deliverer(markers=worker.markers, pacing=pacing), metrics):
            worker.work(logging_level="WARNING")
    except StopRequested:
        pass
    finally:
        # RQ's handlers belong to a worker that is no more.
        _stop_on_signals(stop)
        if worker.was_asked_to_stop:
            stop.set()
        clock.stop()


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
