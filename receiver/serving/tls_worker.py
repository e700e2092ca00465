"""The buffering worker for TLS. Handshakes run on the loop too, within the time for the first request."""

import socket
import ssl
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final

from gunicorn.sock import ssl_context  # type: ignore[import-untyped]  # has no types

from receiver.serving.buffering_worker import BufferingWorker
from receiver.serving.connection import Connection

OVERHEAD: Final = 40 * 1024
"""Bytes that OpenSSL needs for a connection, its two buffers of a record each included."""


class TlsWorker(BufferingWorker):
    """Used only with TLS."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._context: ssl.SSLContext = ssl_context(self.cfg)

    def _accepted(self, client: socket.socket, address: Any, server: Any) -> None:
        client.setblocking(False)
        try:
            secured = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        except OSError:  # The client has gone already.
            client.close()
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, secured, address, server, overhead=OVERHEAD)
        self._silent[connection] = None
        self.poller.register(secured, EVENT_READ, partial(self._handshake, connection))
        connection.is_receiving = connection.is_polled = True

    def _handshake(self, connection: Connection, client: ssl.SSLSocket) -> None:
        if not connection.is_receiving:
            return
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            self.poller.modify(client, EVENT_READ, partial(self._handshake, connection))
        except ssl.SSLWantWriteError:
            self.poller.modify(client, EVENT_WRITE, partial(self._handshake, connection))
        except OSError:  # The client speaks no TLS, or too old a version, or does not trust the certificate.
            self._drop(connection)
        else:
            self.poller.modify(client, EVENT_READ, partial(self._readable, connection))
            self._receive(connection, client)

    def _finish(self, conn: Connection, *, is_kept: bool) -> None:
        super()._finish(conn, is_kept=is_kept)
        # Bytes that TLS has read ahead do not make the socket readable.
        if conn in self.keepalived_conns and conn.sock.pending():
            self._readable(conn, conn.sock)

    def _close(self, connection: Connection) -> None:
        # Tells the client that nothing was cut off. Its own close_notify is not awaited.
        with suppress(OSError, ValueError):
            connection.sock.setblocking(False)
            connection.sock.unwrap()
        super()._close(connection)
