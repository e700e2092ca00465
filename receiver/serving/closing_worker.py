"""gunicorn's threaded worker, made to close connections without waiting for their clients.

gunicorn's event loop waits up to 2 s for a client to close its side. Here the loop goes on meanwhile.
"""

import socket
import time
from abc import abstractmethod
from functools import partial
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]  # has no types

from receiver.serving.connection import Connection
from receiver.serving.signals import SignalSafeWorker

RECEIVED_AT_ONCE: Final = 64 * 1024
TIME_TO_CLOSE: Final = 2.0
MOST_CLOSING: Final = 1_000
MOST_DISCARDED: Final = 32 * 1024 * 1024
"""Bytes of a connection that are read and discarded after its response, so that the sender gets that."""
MOST_DISCARDED_AT_ONCE: Final = 16 * 1024 * 1024
"""Bytes of all connections that are discarded between two looks: refusing must not cost others their turn."""


class ClosingWorker(SignalSafeWorker):
    """Polls connections and closes them; what arrives on those in use is up to the subclass."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lingering: dict[Connection, tuple[float, int]] = {}
        """Connections that are being closed: until when, and how many bytes may still be discarded."""
        self._discarded = 0
        self._scratch = memoryview(bytearray(RECEIVED_AT_ONCE))

    def _poll(self, connection: Connection) -> None:
        """Once is enough for many requests: to the kernel, and to gunicorn's poller, each time costs more."""
        if not connection.is_polled:
            self.poller.register(connection.sock, EVENT_READ, partial(self._readable, connection))
            connection.is_polled = True

    @abstractmethod
    def _readable(self, connection: Connection, client: socket.socket) -> None:
        """Something has arrived, or the client has gone. Calls `_linger` for connections in `_lingering`."""

    def _stop_polling(self, connection: Connection) -> None:
        if connection.is_polled:
            self.poller.unregister(connection.sock)
            connection.is_polled = False

    def _close_now(self, connection: Connection) -> None:
        self._stop_polling(connection)
        TConn.close(connection)

    def _close(self, connection: Connection) -> None:
        """End our side and read what still arrives, or a reset could discard our answer."""
        if len(self._lingering) >= MOST_CLOSING:
            self._close_now(connection)
            return
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close_now(connection)
            return
        self._lingering[connection] = (time.monotonic() + TIME_TO_CLOSE, MOST_DISCARDED)
        self._poll(connection)

    def _linger(self, connection: Connection, client: socket.socket) -> None:
        if self._discarded > MOST_DISCARDED_AT_ONCE:
            self._stop_polling(connection)
            return
        until, left = self._lingering[connection]
        try:
            count = client.recv_into(self._scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        self._discarded += count
        self._lingering[connection] = (until, left - count)
        if not count or count >= left:
            self._stop_lingering(connection)

    def _stop_lingering(self, connection: Connection) -> None:
        del self._lingering[connection]
        self._close_now(connection)

    def _go_on_lingering(self, now: float) -> None:
        """Close connections whose time is over, and go on reading from the others."""
        for connection in [each for each, (until, _) in self._lingering.items() if until <= now]:
            self._stop_lingering(connection)
        self._discarded = 0
        for connection in self._lingering:
            self._poll(connection)
