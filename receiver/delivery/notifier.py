"""Notices to people: queues them while markers are delivered, and posts them afterwards.

Notices have a line of their own, as an account has (`receiver.config.accounts.NOTIFY`): queues, a pause, a
budget and dead letters. So they are retried and given up as deliveries are, do not wait for deliveries, and
are posted even while delivery is paused.

Redis keys: `apitraffic:seen:notify:<id>`, for 14 days, and all that an account has; there, a notice is a
marker, which has a `sid` once it has been posted.
"""

import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Final

from redis import Redis
from redis.exceptions import OutOfMemoryError
from structlog import get_logger

from apitraffic_events.errors import RateLimited
from apitraffic_events.timestamps import now
from receiver.config.notify import NoticeKind
from receiver.config.settings import Settings
from receiver.datastore.failures import explain
from receiver.datastore.replication import run_replicated
from receiver.delivery.budget import RequestBudget
from receiver.delivery.marker_lock import MarkerBusy
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.notices import KINDS, Notice, body_of
from receiver.delivery.retries import pause_after
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.senders_api.notify import NoticeTarget, Sign
from receiver.sources.signing import events_request

POSTED: Final = "posted"
"""The `sid` of a notice that has been posted."""


class Told(Enum):
    """The result of an attempt to post a notice."""

    POSTED = "notice posted"
    POSTED_BEFORE = "notice had been posted"


def target_of(settings: Settings) -> NoticeTarget | None:
    """Where notices are posted; `None` if there is no address."""
    url, secret = settings.notices_to, settings.notify_secret
    if url is None:
        return None
    return NoticeTarget(url.get_secret_value(), signing(secret.get_secret_value()) if secret else None)


def signing(secret: str) -> Sign:
    """How notices are signed with this secret: as our own events are, which is by Standard Webhooks."""
    return lambda body, notice_id: events_request(secret, "", body, notice_id)


class Notices:
    """Queues notices of the kinds that are wanted. Several threads may use it."""

    def __init__(self, redis: Redis, wanted: Collection[NoticeKind]) -> None:
        self._redis = redis
        self._wanted = frozenset(wanted)
        self._enqueuer = Enqueuer(redis)

    def tell(self, notice: Notice) -> None:
        """Queue the notice, unless that has been done before; call this before what it is about is acked.

        Raises `RedisError`, or `Unreplicated` if a fail-over might lose it: then call it again. If Redis is
        out of memory, it does not take the notice. Deliveries must go on, so that is only logged.
        """
        if KINDS.get(notice.type) not in self._wanted:
            return
        call = self._enqueuer.call_for([notice.as_change()], is_logged=False)
        try:
            run_replicated(self._redis, call.script, call.keys, call.arguments)
        except OutOfMemoryError as error:
            get_logger("receiver.notify").error(
                "a notice is lost", notice=notice.id, text=notice.text, reason=explain(error)
            )


class Notifier:
    """Posts the notices that are queued.

    The threads of a worker share `turn`: one of them posts at a time, so that an address that answers slowly
    does not keep the others from deliveries.
    """

    def __init__(
        self, target: NoticeTarget, markers: MarkerStore, budget: RequestBudget, turn: threading.Lock
    ) -> None:
        self._target = target
        self._markers = markers
        self._budget = budget
        self._turn = turn

    def deliver(self, change: Change) -> Told:
        """Post the notice; raises as `NoticeTarget.post` does, and `MarkerBusy`, also if it is not our turn.

        It is noted at once that it was posted. If a worker dies between the two, the notice is posted again,
        with the same id.
        """
        if not self._turn.acquire(blocking=False):
            raise MarkerBusy(change.key)
        try:
            return self._post(change)
        finally:
            self._turn.release()

    def _post(self, change: Change) -> Told:
        with self._markers.locked(change.names) as lock:
            if lock.known.sid == POSTED:
                lock.save_and_release(lock.known)
                return Told.POSTED_BEFORE
            notice = Notice.of(change)
            body = body_of(notice, now(), is_whole=self._target.is_signed)
            try:
                self._target.post(notice.id, body)
            except RateLimited as error:
                self._budget.use_up(pause_after(error, attempts=0, waiting_for=timedelta()) or 0)
                raise
            posted = replace(lock.known.settled(), sid=POSTED)
            lock.save(posted)
            lock.save_and_release(posted)
        return Told.POSTED
