"""Store a delivery in Redis, or in the spool on disk if Redis does not take it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from structlog import get_logger

from receiver.datastore.failures import UNREACHABLE
from receiver.datastore.scripts.runner import ScriptCall
from receiver.errors import StorageUnavailable
from receiver.events import Change, Delivery
from receiver.queue.enqueueing import Enqueuer
from receiver.reception.draining import Drain, Reminder
from receiver.reception.quarantine import Quarantine, Quarantined
from receiver.reception.spool import Content, Spool

REDIS_PAUSE: Final = 2.0
"""Seconds for which Redis is not tried again after a failure: senders must not all wait for its time-outs."""
DRAIN_INTERVAL: Final = 0.5
"""Seconds between checks of the spool."""
LONGEST_DRAIN_INTERVAL: Final = 10.0
"""Seconds; the pause grows so far while something in the spool cannot be moved or removed."""


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
        self.does_redis_answer = True
        """Whether Redis could be reached when `storage` last asked. It may do so and refuse writes."""
        self._drain = Drain(spool, self._store_in_redis, enqueuer.check) if spool else None

    def store(self, changes: Sequence[Change]) -> bool:
        """Store one delivery's changes; returns `False` if they have been stored before.

        Raises `StorageUnavailable` if neither Redis nor the spool took them.
        """
        return self._put(tuple(changes))

    def quarantine(self, delivery: Delivery, reason: str) -> None:
        """Store a delivery that could not be translated; raises `StorageUnavailable` likewise."""
        self._put(Quarantined.of(delivery, reason))

    def call_to_store(self, changes: Sequence[Change]) -> ScriptCall | None:
        """What Redis has to run to store one delivery's changes, for those who do not wait for each.

        It returns 0 if they have been stored before. `None` while Redis is left alone after a failure.
        """
        return self._enqueuer.call_for(changes) if self._clock() >= self._redis_retried_at else None

    def redis_failed(self, reason: str) -> None:
        """Log it, and leave Redis alone for a while."""
        get_logger("receiver.intake").warning("Redis did not take a delivery", reason=reason)
        self.leave_redis_alone(REDIS_PAUSE)

    def leave_redis_alone(self, seconds: float) -> None:
        """Let deliveries go into the spool at once, for so long."""
        self._redis_retried_at = self._clock() + seconds

    def redis_answers(self) -> None:
        """Let deliveries go to Redis again."""
        self._redis_retried_at = self._clock()

    def _put(self, content: Content) -> bool:
        reason = "Redis: left alone after a failure"
        if self._clock() >= self._redis_retried_at:
            try:
                return self._store_in_redis(content)
            except StorageUnavailable as failure:
                reason = str(failure)
                self.redis_failed(reason)
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
        self.does_redis_answer = True
        try:
            self._enqueuer.check()
        except StorageUnavailable as failure:
            self.does_redis_answer = not isinstance(failure.__cause__, UNREACHABLE)
            if self._spool is None:
                raise
            try:
                self._spool.check()
            except StorageUnavailable as second:
                raise StorageUnavailable(f"{failure}; {second}") from second
            return "spool"
        return "redis"

    def spooled(self) -> int:
        """How many deliveries are in the spool; raises `StorageUnavailable` if it cannot be read."""
        return self._spool.count() if self._spool else 0

    def spool_problem(self) -> str | None:
        """Why deliveries stay in the spool although Redis takes them, as of the last attempt to drain it."""
        return self._drain.problem if self._drain else None

    def drain(self) -> int | None:
        """Move deliveries from the spool to Redis in the order in which they arrived; returns how many.

        `None` if another process is doing that. Raises `StorageUnavailable` if Redis takes none of them;
        `spool_problem` says why some stay although it does.
        """
        moved = self._drain.run() if self._drain else 0
        if moved:
            self._redis_retried_at = self._clock()
        return moved


class SpoolDrain:
    """Drains the spool whenever Redis is reachable. Each process has one; one at a time drains.

    `start` makes its thread, after the server has forked: CPython 3.13.0 starts no thread that was made in
    another process.
    """

    def __init__(self, store: DeliveryStore) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._reminder = Reminder()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it in this process."""
        self._thread = threading.Thread(target=self._run, name="spool-drain", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = DRAIN_INTERVAL
        while not self._stopped.wait(pause):
            moved = self._drain()
            is_stuck = not moved and self._store.spool_problem() is not None
            pause = min(pause * 2, LONGEST_DRAIN_INTERVAL) if is_stuck else DRAIN_INTERVAL

    def _drain(self) -> int | None:
        """Drain the spool once, and log what became of it."""
        log = get_logger("receiver.intake")
        moved, reason = None, None
        try:
            moved = self._store.drain()
            reason = self._store.spool_problem()
        except StorageUnavailable as failure:
            reason = str(failure)
        except Exception as error:
            # Without this thread nothing leaves the spool again, and the receiver looks healthy.
            reason = type(error).__name__
            if self._reminder.is_due():
                log.exception("draining the spool failed")
        if moved:
            log.info("spool drained", deliveries=moved)
        if reason is None:
            if moved is not None:
                self._reminder.reset()
        elif self._reminder.is_due():
            log.warning("deliveries stay in the spool", reason=reason)
        return moved

    def stop(self) -> None:
        self._stopped.set()

    def join(self) -> None:
        """Wait until it has ended, after `stop`."""
        if self._thread is not None:
            self._thread.join()
