"""RQ's worker with fewer heartbeats, and made to survive a Redis that is unreachable or full."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis.client import Pipeline, PubSub, PubSubWorkerThread
from redis.exceptions import OutOfMemoryError, RedisError
from rq import SimpleWorker

from apitraffic_events.timestamps import now
from receiver.worker.wake_up import WakeUp

HEARTBEAT_INTERVAL: Final = timedelta(seconds=5)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
SUBSCRIBE_PAUSE: Final = 2.0
"""Seconds between attempts to subscribe to RQ's commands while Redis is full."""


class QuietWorker(SimpleWorker):
    """`stop` is set when the worker is asked to stop."""

    def __init__(self, stop: WakeUp, *arguments: Any, **named: Any) -> None:
        self._stop = stop
        self._current_state = ""
        super().__init__(*arguments, **named)
        self.log_result_lifespan = False

    def set_shutdown_requested_date(self) -> None:
        """RQ calls this in the signal handler, which must not fail if Redis cannot be reached."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # see above

    def _pubsub_exception_handler(
        self, exc: Exception, pubsub: PubSub, pubsub_thread: PubSubWorkerThread
    ) -> None:
        """Let the thread that listens for commands subscribe again later if Redis is full.

        Redis 8.6 refuses that at `maxmemory`, unlike 8.0 and Valkey 9, and RQ would end the thread.
        """
        if not isinstance(exc, OutOfMemoryError):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        elif not self._stop.wait(SUBSCRIBE_PAUSE) and pubsub.connection is not None:
            pubsub.connection.disconnect()  # The next read connects and subscribes.

    def unsubscribe(self) -> None:
        """End the thread that listens for commands before RQ wakes it.

        RQ wakes it first. A thread that is fast then listens again, and RQ waits a second for it in vain.
        """
        if self.pubsub_thread is not None:
            self.pubsub_thread.stop()
        super().unsubscribe()  # type: ignore[no-untyped-call]  # RQ has no types here

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Give a sign of life every few seconds, and not five times a job as RQ does."""
        if pipeline is not None or now() - (self.last_heartbeat or NEVER) >= HEARTBEAT_INTERVAL:
            super().heartbeat(timeout, pipeline)

    def get_state(self) -> str:
        """RQ's signal handler asks for this: it lets a busy worker finish its job."""
        return self._current_state
