"""A threaded worker whose threads wait a moment for the next request of the connection that they have served.

gunicorn gives every request to a pool of threads and every connection back to its loop, which costs more than
parsing the request. With fewer connections than threads, a thread can as well stay with its connection.
"""

import select
from typing import Any, Final

from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]  # has no types

from receiver.serving.signals import SignalSafeWorker

LINGER_MS: Final = 20
"""Milliseconds; a new connection waits at most so long for a thread if all of them linger."""


class LingeringWorker(SignalSafeWorker):
    """For servers with few clients, each of which sends one request after another."""

    def handle(self, conn: TConn) -> Any:
        """In a thread: serve a request, and those that soon follow on the same connection."""
        result = super().handle(conn)
        while result is True and self.alive and self.nr_conns <= self.cfg.threads:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            if not poll.poll(LINGER_MS):
                break
            result = super().handle(conn)
        return result
