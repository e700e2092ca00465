"""The thread of a worker that listens for RQ's commands, such as `shutdown`."""

import threading
from logging import DEBUG, WARNING
from typing import Final

from redis.client import PubSub
from redis.exceptions import RedisError
from structlog import get_logger

from receiver.datastore.failures import UNREACHABLE, explain

LONGEST_WAIT: Final = 60.0
"""Seconds for which one read waits for a command."""
PAUSE: Final = 2.0
"""Seconds before it listens again after a failure."""


class CommandListener(threading.Thread):
    """Listens until it is stopped or unsubscribed, whatever fails meanwhile.

    The thread that RQ starts ends with a traceback if Redis hangs while it connects again, and if Redis
    refuses the subscription, as Redis 8.6 does at `maxmemory`. The worker would look healthy and obey no
    command any more. And if RQ's thread is stopped before it has begun to run, it never ends.
    """

    def __init__(self, pubsub: PubSub) -> None:
        """`pubsub` has subscribed already; what it has subscribed to has handlers."""
        super().__init__(name="rq-commands", daemon=True)
        self._pubsub = pubsub
        self._stopped = threading.Event()
        self._reason = ""

    def run(self) -> None:
        while self._pubsub.subscribed and not self._stopped.is_set():
            try:
                self._pubsub.get_message(ignore_subscribe_messages=True, timeout=LONGEST_WAIT)
            except Exception as error:  # noqa: BLE001 - see above
                if not self._stopped.is_set():
                    self._log(error)
                    self._connect_again()
        self._pubsub.close()

    def stop(self) -> None:
        """Let it end when it next hears something, or after `LONGEST_WAIT`."""
        self._stopped.set()

    def _log(self, error: Exception) -> None:
        """Say once why Redis refuses. If it cannot be reached, the worker itself says so."""
        log = get_logger("receiver.worker")
        if not isinstance(error, RedisError):
            log.error("listening for RQ's commands failed", exc_info=error)
        elif (reason := explain(error)) != self._reason:
            self._reason = reason
            level = DEBUG if isinstance(error, UNREACHABLE) else WARNING
            log.log(level, "RQ's commands are not heard; trying again", reason=reason, in_s=PAUSE)

    def _connect_again(self) -> None:
        """The next read connects, and subscribes again."""
        if not self._stopped.wait(PAUSE) and (connection := self._pubsub.connection) is not None:
            connection.disconnect()
