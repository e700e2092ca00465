"""Markers that are due by a sorted set in Redis: each becomes a job.

They are alerts that have not been reported for long, which are ended, and markers that need a second look
because of what has happened around them since.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from redis import Redis
from rq.job import Job
from structlog import get_logger

from apitraffic_events.event import ALREADY_CLEAN, Event, EventType
from apitraffic_events.timestamps import format_timestamp, now
from receiver.datastore.keys import keys_of
from receiver.delivery.deliverer import SECOND_LOOK
from receiver.delivery.markers import CHANGES
from receiver.events import Change, DeliveryReference, Effect
from receiver.queue.queues import delivery_queue, job_data_and_names, job_of, queue_name

MOST_AT_ONCE: Final = 100
CLAIM_LIFETIME: Final = 60
"""Seconds. Long enough for a worker to queue the job, and short if it dies before that."""


class DueMarkers:
    """Queues a job for each marker of one account that is due.

    Several may run at once: such a job may be run more than once. A marker stays due until its job is done,
    so nothing is lost if a worker dies.
    """

    def __init__(
        self,
        redis: Redis,
        account: str | None,
        due: str,
        job_prefix: str,
        change_for: Callable[[str], Change | None],
        *,
        is_urgent: bool,
        said: str | None = None,
        claim_lifetime: int = CLAIM_LIFETIME,
    ) -> None:
        """`due` is the key of the sorted set. `change_for` returns what the job of a marker delivers, or
        `None` if the marker is not due any more. `said` is logged for each, which nobody queues again within
        `claim_lifetime` seconds.
        """
        self._redis = redis
        self._account = account
        self._due = due
        self._job_prefix = job_prefix
        self._change_for = change_for
        self._said = said
        self._claim_lifetime = claim_lifetime
        self._queue = delivery_queue(redis, queue_name(account, is_urgent=is_urgent))

    def enqueue_due(self) -> int:
        """Returns for how many markers; raises `RedisError`."""
        due = self._redis.zrangebyscore(self._due, "-inf", now().timestamp(), start=0, num=MOST_AT_ONCE)
        return sum(self._enqueue(key.decode() if isinstance(key, bytes) else str(key)) for key in due)

    def _enqueue(self, key: str) -> bool:
        whose = key if self._account is None else f"{self._account}\n{key}"
        job_id = f"{self._job_prefix}-{hashlib.sha256(whose.encode()).hexdigest()[:32]}"
        claim = f"apitraffic:{self._job_prefix}:{job_id}"
        if not self._redis.set(claim, "1", nx=True, ex=self._claim_lifetime):
            return False
        change = self._change_for(key)
        if change is None:
            self._redis.zrem(self._due, key)
            return False
        if self._redis.exists(Job.key_for(job_id)):
            return False
        change = change.model_copy(update={"account": self._account})
        job = job_of(change, job_id, self._queue)
        _, names = job_data_and_names(change)
        with self._redis.pipeline() as pipeline:
            self._queue.enqueue_job(job, pipeline=pipeline)
            # By these the marker is locked, and unlocked if the worker dies.
            pipeline.hset(job.key, "names", names)
            pipeline.execute()
        if self._said:
            get_logger("receiver.worker").info(self._said, key=key)
        return True


SECOND_LOOK_CLAIM: Final = 5
"""Seconds. Something else may have happened around the marker by then."""
GIVEN_UP_AFTER: Final = timedelta(days=4)
"""Longer than attempts are retried. A second look that has not been made by then is dropped."""


def second_look_at(key: str, moment: datetime) -> Change:
    """The change that asks for a second look at the marker of this key, and says nothing itself."""
    return Change(
        key=key,
        effect=Effect.UPDATE,
        occurred_at=moment,
        event=Event(type=EventType.CUSTOM, name="Second look"),
        sets=(),
        delivery=DeliveryReference(source=SECOND_LOOK, id=format_timestamp(moment), event="second look"),
    )


def second_looks(redis: Redis, account: str | None = None) -> DueMarkers:
    """Queues a second look at each marker for which one is due."""
    keys = keys_of(account)

    def look_at(key: str) -> Change | None:
        planned = redis.zscore(keys.second_looks, key)
        moment = now()
        if planned is None or planned < (moment - GIVEN_UP_AFTER).timestamp():
            return None
        return second_look_at(key, moment)

    return DueMarkers(
        redis,
        account,
        keys.second_looks,
        "second-look",
        look_at,
        is_urgent=False,
        claim_lifetime=SECOND_LOOK_CLAIM,
    )


def alert_checks(redis: Redis, account: str | None = None) -> DueMarkers:
    """Queues the last report of each alert that is due."""
    keys = keys_of(account)

    def last_report(key: str) -> Change | None:
        kept = redis.hget(f"{keys.marker}{key}", "changes")
        reports = CHANGES.validate_json(kept, context=ALREADY_CLEAN) if kept else ()
        return reports[-1].model_copy(update={"key": key}) if reports else None

    return DueMarkers(
        redis,
        account,
        keys.alerts_to_check,
        "alert-check",
        last_report,
        is_urgent=True,
        said="no news of an alert",
    )
