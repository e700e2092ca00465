"""Runs one job, and has RQ deal with what fails or is to be retried."""

import traceback
from dataclasses import replace

from rq import Retry
from rq.job import Job
from structlog import get_logger

from apitraffic_events.timestamps import now
from receiver.datastore.failures import UNREACHABLE
from receiver.delivery.budget import Permit
from receiver.delivery.marker_lock import MustWait
from receiver.delivery.marker_store import MarkerStore
from receiver.worker.attempts import GivenUp
from receiver.worker.batch import Batch
from receiver.worker.dequeued import Dequeued
from receiver.worker.job_queue import JobQueue
from receiver.worker.quiet_worker import QuietWorker
from receiver.worker.resources import AccountResources, Limit


class JobRunner:
    """Runs the jobs of a worker, in whichever of its threads calls it."""

    def __init__(self, worker: QuietWorker, job_queue: JobQueue, batch: Batch) -> None:
        """`worker` has RQ's ways to deal with failures. `batch` has the jobs that were not begun."""
        self._worker = worker
        self._job_queue = job_queue
        self._batch = batch

    def run(self, dequeued: Dequeued, resources: AccountResources, limit: Limit) -> None:
        """Run the job in this thread. Ack it, or let RQ deal with it; raises if Redis cannot be reached."""
        budget, markers, run_job = resources.budget, resources.markers, resources.run_job
        if run_job is None:
            raise RuntimeError("the worker has not been told how to run jobs")
        began_at = now()
        budget.use_prefetched(dequeued.permit)
        markers.use_prefetched(dequeued.lock)
        try:
            with limit(dequeued.id):
                retry = run_job(dequeued)
        except MustWait:
            # Its permit has been returned, and its marker released.
            self._batch.give_back(replace(dequeued, permit=Permit()))
            return
        except Exception as error:  # noqa: BLE001 - RQ retries what is unexpected
            dequeued.job.started_at, dequeued.job.ended_at = began_at, now()
            self._failed(dequeued, markers, error)
            return
        if retry is not None:
            dequeued.job.started_at, dequeued.job.ended_at = began_at, now()
            self._retry(dequeued, markers, retry)
            return
        seconds = (now() - began_at).total_seconds()
        self._job_queue.ack(dequeued, seconds, markers.deferred_release())

    def _retry(self, dequeued: Dequeued, markers: MarkerStore, retry: Retry) -> None:
        """Let RQ schedule the retry. What has not been begun is given back: it may have to wait, too."""
        job, queue = dequeued.job, dequeued.queue
        markers.release()
        self._tell_server_version(job)
        self._worker.handle_job_retry(job, queue, retry, queue.started_job_registry, dequeued.execution)
        self._job_queue.in_hand.done_with(dequeued)
        self._batch.give_back()

    def _failed(self, dequeued: Dequeued, markers: MarkerStore, error: Exception) -> None:
        """Release the job's marker, log an unexpected error, and let RQ retry the job or keep it as failed.

        A dead letter has been logged already. If Redis cannot be reached, nothing can be stored of the job;
        this worker takes it over after its restart.
        """
        if isinstance(error, UNREACHABLE):
            raise error
        markers.release()
        exc_info = (type(error), error, error.__traceback__)
        if not isinstance(error, GivenUp):
            get_logger("receiver.worker").error("delivery failed", job=dequeued.job.id, exc_info=exc_info)
        self._tell_server_version(dequeued.job)
        self._worker.handle_job_failure(
            dequeued.job,
            dequeued.queue,
            dequeued.queue.started_job_registry,
            "".join(traceback.format_exception(*exc_info)),
            dequeued.execution,
        )
        self._job_queue.in_hand.done_with(dequeued)
        self._batch.give_back()

    def _tell_server_version(self, job: Job) -> None:
        """RQ would ask Redis for it, for each job."""
        version = self._worker.get_redis_server_version()  # type: ignore[no-untyped-call]  # RQ has no types
        job.redis_server_version = version
