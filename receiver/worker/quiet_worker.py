"""RQ's worker with fewer heartbeats, and made to survive a Redis that is unreachable or full."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import SimpleWorker

from apitraffic_events.timestamps import now
from receiver.worker.command_listener import CommandListener
from receiver.worker.wake_up import WakeUp

HEARTBEAT_INTERVAL: Final = timedelta(seconds=5)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
LONGEST_END: Final = 1.0
"""Seconds for which a worker that ends waits for the thread that listens for commands."""


class QuietWorker(SimpleWorker):
    """`stop` is set when the worker is asked to stop."""

    def __init__(self, stop: WakeUp, *arguments: Any, **named: Any) -> None:
        self._stop = stop
        self._current_state = ""
        self._listener: CommandListener | None = None
        super().__init__(*arguments, **named)
        self.log_result_lifespan = False

    def set_shutdown_requested_date(self) -> None:
        """RQ calls this in the signal handler, which must not fail if Redis cannot be reached."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # see above

    def subscribe(self) -> None:
        """Listen for RQ's commands in a thread that outlasts a Redis that is away or full."""
        self.pubsub = self.connection.pubsub()  # type: ignore[no-untyped-call]  # no types there
        self.pubsub.subscribe(**{self.pubsub_channel_name: self.handle_payload})
        self._listener = CommandListener(self.pubsub)
        self._listener.start()

    def unsubscribe(self) -> None:
        """End that thread. RQ would close its connection although the thread may still read from it."""
        if self.pubsub is not None and self._listener is not None:
            self.pubsub.unsubscribe()  # type: ignore[no-untyped-call]  # see above
            self._listener.stop()
            self._listener.join(LONGEST_END)

    def stop_listening(self) -> None:
        """Let that thread end when it can, without Redis."""
        if self._listener is not None:
            self._listener.stop()

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Give a sign of life every few seconds, and not five times a job as RQ does."""
        if pipeline is not None or now() - (self.last_heartbeat or NEVER) >= HEARTBEAT_INTERVAL:
            super().heartbeat(timeout, pipeline)

    def get_state(self) -> str:
        """RQ's signal handler asks for this: it lets a busy worker finish its job."""
        return self._current_state
