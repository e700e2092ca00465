"""gunicorn's threaded worker, made to withstand slow, idle and too many clients without a proxy in front.

gunicorn gives each connection to a thread, which waits for the client: 5 s for its first byte, and without
limit for the rest. Here the loop receives requests, and a thread gets one once the application can answer it.
The application says after the head whether it wants the body. The time, the bytes and the number of requests
are bounded.
"""

import socket
import time
from contextlib import suppress
from typing import Any, Final

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]  # has no types
    STOP_KEEPALIVE_LINGER,
)
from structlog import get_logger

from receiver.serving.budget import MemoryBudget
from receiver.serving.closing_worker import ClosingWorker
from receiver.serving.connection import REQUEST_TIMEOUT, Body, Connection, Exchange, Unacceptable
from receiver.serving.heads import head_of
from receiver.serving.responses import FAILURE, NO_ROOM, TOO_LATE, TOO_MANY, Refusal
from receiver.web.admission import ADMITTED, HEAD, IncomingBody, Refused

MOST_WAITING: Final = 256
"""Complete requests that wait for a thread; at some 700 a second the last one waits well under a second."""
MOST_ACCEPTED_AT_ONCE: Final = 32
TIME_FOR_ROOM: Final = 5.0
"""Seconds that a large request waits until others have left enough memory. Senders wait 5 to 10 s."""
TIME_TO_ANSWER: Final = 20.0
"""Seconds that a client has to take a response."""
CHECK_INTERVAL: Final = 0.25
"""Seconds between looks at all connections for those that are late."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class BufferingWorker(ClosingWorker):
    """Everything here but `handle` runs on the process' one event loop."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._with_threads = 0
        self._budget = MemoryBudget()
        self._buffering: dict[Connection, None] = {}
        """Connections of which a part of a request has arrived, the oldest first."""
        self._silent: dict[Connection, None] = {}
        """Connections of which nothing has arrived yet, the oldest first."""
        self._without_room: dict[Connection, float] = {}
        """Of `_buffering`, those whose large request waits for memory, and until when."""
        self._stopping_at = time.monotonic()
        self._checked_at = 0.0

    def init_process(self) -> None:
        # gunicorn searches its settings some thirty times a request.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    # What gunicorn's loop calls.

    def accept(self, listener: socket.socket) -> None:
        for _ in range(MOST_ACCEPTED_AT_ONCE):
            try:
                client, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError:  # Out of file descriptors.
                self._close_idlest()
                return
            self._accepted(client, address, listener.getsockname())
            if self.nr_conns >= self.worker_connections and not self._close_idlest():
                return

    def murder_pending(self) -> None:
        """Gunicorn calls this after each turn of its loop; connections that are late are closed."""
        now = time.monotonic()
        if self.alive:
            self._stopping_at = now
        if now - self._checked_at < CHECK_INTERVAL:
            return
        self._checked_at = now
        # The time that gunicorn gives keep-alive connections for a request that may be under way.
        has_stopped = now >= self._stopping_at + STOP_KEEPALIVE_LINGER
        for connection in [each for each in self._silent if has_stopped or each.deadline <= now]:
            self._drop(connection)
        for connection in [each for each in self._buffering if each.deadline <= now]:
            self._refuse(connection, TOO_LATE)
        for connection in [each for each, until in self._without_room.items() if until <= now]:
            self._refuse(connection, NO_ROOM)
        self._go_on_lingering(now)
        self._resume_those_with_room()
        self.wsgi.extensions["repeated_lines"].flush()

    def handle(self, conn: Connection) -> bool:
        """In a thread: let the application answer. Returns whether the connection is kept."""
        log, exchange = get_logger("receiver.server"), conn.exchange
        if exchange is None:
            return False
        response = None
        try:
            conn.sock.settimeout(TIME_TO_ANSWER)
            response, environ = conn.response_and_environ(exchange)
            return self._answer(exchange, response, environ)
        except OSError:  # The client has gone.
            return False
        except Exception:
            # Without the request's address, which may hold a token.
            log.exception("response failed")
            if response is None or not response.headers_sent:
                with suppress(OSError):
                    conn.sock.sendall(FAILURE.answer)
            return False

    def finish_request(self, conn: Connection, fs: Any) -> None:
        self._with_threads -= 1
        with suppress(OSError):
            conn.sock.setblocking(False)
        self._finish(conn, is_kept=not fs.cancelled() and fs.exception() is None and fs.result())

    def _finish(self, conn: Connection, *, is_kept: bool) -> None:
        """After the answer: the next request, or none."""
        conn.exchange = None
        self._budget.release(conn)
        if not is_kept:
            self.nr_conns -= 1
            self._close(conn)
        elif conn.received:
            self._next_request(conn)
        else:
            conn.set_timeout()
            if not self.alive:
                conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
            self.keepalived_conns.append(conn)
            self._poll(conn)
        self._resume_those_with_room()

    # Receiving.

    def _accepted(self, client: socket.socket, address: Any, server: Any) -> None:
        self.nr_conns += 1
        self._next_request(Connection(self.cfg, client, address, server))

    def _next_request(self, connection: Connection) -> None:
        """A connection's first or next request may be there, or a part of it."""
        connection.deadline = time.monotonic() + REQUEST_TIMEOUT
        connection.is_receiving = True
        if connection.received:
            self._advance(connection, self._scratch[:0])
        else:
            self._silent[connection] = None
            self._receive(connection, connection.sock)
        self._poll_receiving(connection)

    def _poll_receiving(self, connection: Connection) -> None:
        """Unless all is there, or more has to wait."""
        if connection.is_receiving and connection not in self._without_room:
            self._poll(connection)

    def _readable(self, connection: Connection, client: socket.socket) -> None:
        """Something has arrived, or the client has gone."""
        if connection.is_receiving:
            self._receive(connection, client)
        elif connection in self._lingering:
            self._linger(connection, client)
        elif connection in self.keepalived_conns:
            self.keepalived_conns.remove(connection)
            self._next_request(connection)
        else:  # It waits until the request before has its answer. Or it was closed in this very turn.
            self._stop_polling(connection)

    def _receive(self, connection: Connection, client: socket.socket) -> None:
        try:
            count = client.recv_into(self._scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count:
            self._advance(connection, self._scratch[:count])
        else:
            self._drop(connection)

    def _advance(self, connection: Connection, data: memoryview) -> None:
        """Go on with a request as far as what has arrived allows."""
        self._silent.pop(connection, None)
        self._buffering.setdefault(connection)
        try:
            connection.feed(data, self._admit)
        except Unacceptable as error:
            self._refuse(connection, error.refusal)
            return
        self._budget.hold(connection, connection.size)
        while self._budget.is_exceeded:
            oldest = next(iter(self._buffering))
            self._refuse(oldest, NO_ROOM)
            if oldest is connection:
                return
        if connection.exchange is None:
            return
        if connection.exchange.is_ready:
            self._respond(connection)
        elif self._budget.reserve(connection, connection.needed):
            self._invite(connection.exchange, connection.sock)
        else:
            self._stop_polling(connection)
            self._without_room[connection] = time.monotonic() + TIME_FOR_ROOM

    def _admit(self, request: Any, client: Any) -> tuple[Body | None, dict[str, Any]]:
        head = head_of(request, client)
        admitted: IncomingBody | Refused = self.wsgi.extensions["admission"].admit(head)
        return None if isinstance(admitted, Refused) else admitted, {HEAD: head, ADMITTED: admitted}

    def _invite(self, exchange: Exchange, client: socket.socket) -> None:
        if exchange.expects_continue:
            exchange.expects_continue = False
            with suppress(OSError):
                client.send(CONTINUE)

    def _resume_those_with_room(self) -> None:
        for connection in list(self._without_room):
            exchange = connection.exchange
            if connection not in self._without_room or exchange is None:
                continue
            if self._budget.reserve(connection, connection.needed):
                del self._without_room[connection]
                self._invite(exchange, connection.sock)
                self._receive(connection, connection.sock)
                self._poll_receiving(connection)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wake up for the next look if something waits for it."""
        waits = self._lingering or self._without_room
        super().wait_for_and_dispatch_events(min(timeout, CHECK_INTERVAL) if waits else timeout)

    def _stop_receiving(self, connection: Connection) -> None:
        connection.is_receiving = False
        self._silent.pop(connection, None)
        self._buffering.pop(connection, None)
        self._without_room.pop(connection, None)

    def _close_idlest(self) -> bool:
        """Make room for a connection, at the cost of the one that has waited longest for its client."""
        if self._silent:
            self._drop(next(iter(self._silent)))
        elif self.keepalived_conns:
            self._drop(self.keepalived_conns.popleft())
        elif self._buffering:
            self._refuse(next(iter(self._buffering)), TOO_MANY)
        else:
            return False
        return True

    # Answering.

    def _respond(self, connection: Connection) -> None:
        """All of a request is there that its answer needs."""
        self._stop_receiving(connection)
        if self._answering >= self.cfg.threads + MOST_WAITING:
            self._refuse(connection, TOO_MANY)
            return
        self._budget.release(connection)
        self._budget.hold(connection, connection.size)
        self._give_to_thread(connection)

    @property
    def _answering(self) -> int:
        """Requests whose answers are awaited."""
        return self._with_threads

    def _give_to_thread(self, connection: Connection) -> None:
        self._with_threads += 1
        super().enqueue_req(connection)

    def _count_request(self, exchange: Exchange) -> None:
        """Decide whether the connection is kept, as gunicorn's `handle_request` does."""
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False
        if (
            not self.alive
            or not self.cfg.keepalive
            or not exchange.framing.is_complete
            or len(self.keepalived_conns) >= self.max_keepalived
        ):
            exchange.request.force_close()

    def _answer(self, exchange: Exchange, response: Any, environ: dict[str, Any]) -> bool:
        """As gunicorn's `handle_request`, without its hooks, its access log and files."""
        self._count_request(exchange)
        parts = self.wsgi(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return not response.should_close()

    def _refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Without a thread or the application. A client that cannot take the answer at once misses it."""
        self._stop_receiving(connection)
        extensions = self.wsgi.extensions
        extensions["metrics"].rejected("none", refusal.reason)
        address = connection.client[0] if isinstance(connection.client, tuple) else None
        extensions["repeated_lines"].warn(
            "receiver.server", "request refused", refusal.kind, reason=refusal.kind, address=address
        )
        connection.sock.setblocking(False)
        with suppress(OSError):
            connection.sock.send(refusal.answer)
        self.nr_conns -= 1
        self._release(connection)
        self._close(connection)

    def _drop(self, connection: Connection) -> None:
        self._stop_receiving(connection)
        self.nr_conns -= 1
        self._release(connection)
        self._close_now(connection)

    def _release(self, connection: Connection) -> None:
        connection.exchange = None
        connection.received = bytearray()
        self._budget.release(connection)
