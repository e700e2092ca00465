"""Store a delivery in Redis, or in the spool on disk if Redis does not take it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from structlog import get_logger

from receiver.errors import StorageUnavailable
from receiver.events import Change, Delivery
from receiver.observability.trace_context import carrying
from receiver.queue.enqueueing import Enqueuer
from receiver.reception.quarantine import Quarantine, Quarantined
from receiver.reception.spool import Content, Spool

REDIS_PAUSE: Final = 2.0
"""Seconds for which Redis is not tried again after a failure: senders must not all wait for its time-outs."""
DRAIN_INTERVAL: Final = 0.5
"""Seconds between checks of the spool."""
DRAIN_BATCH: Final = 100


class DeliveryStore:
    """Stores deliveries durably: their changes in the queue, or the delivery itself in the quarantine."""

    def __init__(
        self,
        enqueuer: Enqueuer,
        quarantine: Quarantine,
        spool: Spool | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enqueuer = enqueuer
        self._quarantine = quarantine
        self._spool = spool
        self._clock = clock
        self._redis_retried_at = clock()

    def store(self, changes: Sequence[Change]) -> bool:
        """Store one delivery's changes; returns `False` if they have been stored before.

        Raises `StorageUnavailable` if neither Redis nor the spool took them.
        """
        return self._put(tuple(changes))

    def quarantine(self, delivery: Delivery, reason: str) -> None:
        """Store a delivery that could not be translated; raises `StorageUnavailable` likewise."""
        self._put(Quarantined.of(delivery, reason))

    def _put(self, content: Content) -> bool:
        reason = "Redis: left alone after a failure"
        if self._clock() >= self._redis_retried_at:
            try:
                return self._store_in_redis(content)
            except StorageUnavailable as failure:
                reason = str(failure)
                self._redis_retried_at = self._clock() + REDIS_PAUSE
                get_logger("receiver.intake").warning("Redis did not take a delivery", reason=reason)
        if self._spool is None:
            raise StorageUnavailable(f"{reason}; there is no spool")
        try:
            return self._spool.put(content)
        except StorageUnavailable as failure:
            raise StorageUnavailable(f"{reason}; {failure}") from failure

    def _store_in_redis(self, content: Content) -> bool:
        if isinstance(content, Quarantined):
            self._quarantine.keep(content.delivery, content.reason)
            return True
        return self._enqueuer.enqueue(content)

    def storage(self) -> str:
        """Where a delivery would be stored now: `redis`, or `spool` while Redis is unreachable.

        Raises `StorageUnavailable` if it could not be stored.
        """
        try:
            self._enqueuer.check()
        except StorageUnavailable as failure:
            if self._spool is None:
                raise
            try:
                self._spool.check()
            except StorageUnavailable as second:
                raise StorageUnavailable(f"{failure}; {second}") from second
            return "spool"
        return "redis"

    def spooled(self) -> int:
        return self._spool.count() if self._spool else 0

    def drain(self) -> int:
        """Move deliveries from the spool to Redis in the order in which they arrived; returns how many.

        A delivery that was moved but not removed when the process died is moved again, and recognised as a
        duplicate. Raises `StorageUnavailable` if Redis is still unreachable.
        """
        if self._spool is None or not self._spool.count():
            return 0
        moved = 0
        with self._spool.sole_drainer() as may_drain:
            while may_drain and self._spool.count():
                waiting = self._spool.oldest(DRAIN_BATCH)
                for spooled in waiting:
                    with carrying(spooled.traceparent):
                        self._store_in_redis(spooled.content)
                    self._spool.remove(spooled.number)
                    moved += 1
        self._redis_retried_at = self._clock()
        return moved


class SpoolDrain(threading.Thread):
    """Drains the spool whenever Redis is reachable. Each process has one; one at a time drains."""

    def __init__(self, store: DeliveryStore) -> None:
        super().__init__(name="spool-drain", daemon=True)
        self._store = store
        self._stopped = threading.Event()

    def run(self) -> None:
        log = get_logger("receiver.intake")
        while not self._stopped.wait(DRAIN_INTERVAL):
            try:
                moved = self._store.drain()
            except StorageUnavailable:
                continue
            except Exception:
                # Without this thread nothing leaves the spool again, and the receiver looks healthy.
                log.exception("draining the spool failed")
                continue
            if moved:
                log.info("spool drained", deliveries=moved)

    def stop(self) -> None:
        self._stopped.set()
