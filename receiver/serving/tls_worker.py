"""The buffering worker for TLS. Handshakes run on the loop too, within the time for the first request."""

import socket
import ssl
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from gunicorn.http import get_parser  # type: ignore[import-untyped]  # has no types
from gunicorn.sock import ssl_context  # type: ignore[import-untyped]

from receiver.serving.buffering_worker import BufferingWorker
from receiver.serving.connection import Connection, DeadlineUnreader


class TlsConnection(Connection):
    """Its socket is a TLS socket from the start; gunicorn would make it one in a thread."""

    initialized: bool
    parser: Any

    def init(self) -> None:
        if self.initialized:
            return
        self.initialized = True
        self.sock.setblocking(True)
        self.parser = get_parser(self.cfg, self.sock, self.client)
        self.parser.unreader = DeadlineUnreader(self)


class TlsWorker(BufferingWorker):
    """Used only with TLS."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._context: ssl.SSLContext = ssl_context(self.cfg)

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        client.setblocking(False)
        try:
            secured = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        except OSError:  # The client has gone already.
            client.close()
            return
        self.nr_conns += 1
        connection = TlsConnection(self.cfg, secured, address, listener.getsockname())
        self._buffering.add(connection)
        self.poller.register(secured, EVENT_READ, partial(self._handshake, connection))
        connection.is_polled = True

    def _handshake(self, connection: TlsConnection, client: ssl.SSLSocket) -> None:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            self.poller.modify(client, EVENT_READ, partial(self._handshake, connection))
        except ssl.SSLWantWriteError:
            self.poller.modify(client, EVENT_WRITE, partial(self._handshake, connection))
        except OSError:  # The client speaks no TLS, or too old a version, or does not trust the certificate.
            self._stop_buffering(connection)
            self._drop(connection)
        else:
            self.poller.modify(client, EVENT_READ, partial(self._receive, connection))
            self._receive(connection, client)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        super().finish_request(conn, fs)
        # Bytes that TLS has read ahead do not make the socket readable.
        if conn in self.keepalived_conns and conn.sock.pending():
            self.on_client_socket_readable(conn, conn.sock)

    def _close(self, connection: Connection, graceful: bool = False) -> None:
        # Tells the client that nothing was cut off. Its own close_notify is not awaited.
        with suppress(OSError, ValueError):
            connection.sock.setblocking(False)
            connection.sock.unwrap()
        super()._close(connection, graceful)
