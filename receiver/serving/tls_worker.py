"""The bounded worker for TLS: hands are shaken on the loop, too, within the time for the first request."""

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
    """Its socket is a TLS socket from the beginning, where gunicorn would make one in a thread."""

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
    """Without TLS none of this is on the way of a request."""

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
        except OSError:  # It has gone already.
            client.close()
            return
        self.nr_conns += 1
        connection = TlsConnection(self.cfg, secured, address, listener.getsockname())
        self._collecting.add(connection)
        self.poller.register(secured, EVENT_READ, partial(self._shake_hands, connection))
        connection.is_polled = True

    def _shake_hands(self, connection: TlsConnection, client: ssl.SSLSocket) -> None:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            self.poller.modify(client, EVENT_READ, partial(self._shake_hands, connection))
        except ssl.SSLWantWriteError:
            self.poller.modify(client, EVENT_WRITE, partial(self._shake_hands, connection))
        except OSError:  # It speaks no TLS, too old a one, or does not trust the certificate.
            self._stop_collecting(connection)
            self._drop(connection)
        else:
            self.poller.modify(client, EVENT_READ, partial(self._receive, connection))
            self._receive(connection, client)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        super().finish_request(conn, fs)
        # What TLS has read ahead does not make the socket readable.
        if conn in self.keepalived_conns and conn.sock.pending():
            self.on_client_socket_readable(conn, conn.sock)

    def _close(self, connection: Connection, graceful: bool = False) -> None:
        # Says that nothing was cut off; the other side's word for it is not waited for.
        with suppress(OSError, ValueError):
            connection.sock.setblocking(False)
            connection.sock.unwrap()
        super()._close(connection, graceful)
