"""Alerts without news for long: their last report is delivered again, which ends them as unseen."""

import hashlib
from typing import Final

from redis import Redis
from rq.job import Job
from structlog import get_logger

from apitraffic_events.event import ALREADY_CLEAN
from apitraffic_events.timestamps import now
from receiver.datastore.keys import keys_of
from receiver.delivery.marker_store import CHANGES
from receiver.queue.queues import delivery_queue, job_of, queue_name

MOST_AT_ONCE: Final = 100
CLAIM_PREFIX: Final = "apitraffic:alert-check:"
CLAIM_LIFETIME: Final = 60
"""Seconds. Long enough for a worker to queue the job, and short if it dies before that."""


class AlertChecks:
    """Finds alerts of one account that are due.

    Several at once do no harm: a report may be delivered more than once.
    """

    def __init__(self, redis: Redis, account: str | None = None) -> None:
        self._redis = redis
        self._account = account
        self._keys = keys_of(account)
        self._queue = delivery_queue(redis, queue_name(account, is_urgent=True))

    def enqueue_due(self) -> int:
        """Queue the last report of each alert that is due; returns of how many."""
        due = self._redis.zrangebyscore(
            self._keys.alerts_to_check, "-inf", now().timestamp(), start=0, num=MOST_AT_ONCE
        )
        return sum(self._enqueue(key.decode() if isinstance(key, bytes) else str(key)) for key in due)

    def _enqueue(self, key: str) -> bool:
        """It stays due until the report is delivered, so nothing is lost if this worker dies."""
        whose = key if self._account is None else f"{self._account}\n{key}"
        job_id = f"alert-check-{hashlib.sha256(whose.encode()).hexdigest()[:32]}"
        if not self._redis.set(f"{CLAIM_PREFIX}{job_id}", "1", nx=True, ex=CLAIM_LIFETIME):
            return False
        if self._redis.exists(Job.key_for(job_id)):
            return False
        kept = self._redis.hget(f"{self._keys.marker}{key}", "changes")
        reports = CHANGES.validate_json(kept, context=ALREADY_CLEAN) if kept else ()
        if not reports:
            self._redis.zrem(self._keys.alerts_to_check, key)
            return False
        report = reports[-1].model_copy(update={"key": key, "account": self._account})
        self._queue.enqueue_job(job_of(report, job_id, self._queue))
        get_logger("receiver.worker").info("no news of an alert", key=key)
        return True
