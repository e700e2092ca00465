"""The thread of a worker that looks for what is due."""

import threading
from typing import Final

from redis.exceptions import RedisError
from structlog import get_logger

from receiver.datastore.failures import explain
from receiver.worker.due_markers import alert_checks, second_looks
from receiver.worker.worker import DeliveryWorker

SCHEDULE_INTERVAL: Final = 0.5
"""Seconds between checks for retries that are due."""


class RetryClock(threading.Thread):
    """Queues jobs whose retry is due, alerts without news, and second looks; gives jobs back that wait behind
    slow ones.

    This is a thread of the worker in place of RQ's scheduler, which is a process of its own, quits when Redis
    restarts and leaves its lock behind when it is killed. Several at once do no harm: each move is atomic.
    """

    def __init__(self, worker: DeliveryWorker) -> None:
        super().__init__(name="retry-clock", daemon=True)
        self._worker = worker
        self._due_markers = tuple(
            due_in(worker.connection, account)
            for account in worker.accounts
            for due_in in (alert_checks, second_looks)
        )
        self._stopped = threading.Event()

    def run(self) -> None:
        log = get_logger("receiver.worker")
        was_away = False
        while not self._stopped.is_set():
            self._worker.wants_attention.wait(SCHEDULE_INTERVAL)
            self._worker.wants_attention.clear()
            try:
                self._worker.look_after_batch()
                for recovery in self._worker.recoveries:
                    recovery.enqueue_due()
                for due_markers in self._due_markers:
                    due_markers.enqueue_due()
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
        self._worker.wants_attention.set()
        self.join(timeout=5)
