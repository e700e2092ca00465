"""Serves the local Events API with gunicorn, in this process."""

import socket
from collections.abc import Callable
from typing import Any, Final

from receiver.local.events_api.app import EventsApi, create_app
from receiver.local.events_api.options import Options
from receiver.serving.lingering_worker import LingeringWorker
from receiver.serving.signals import SignalSafeApplication

THREADS: Final = 8
KEEP_ALIVE: Final = 75
TIME_TO_STOP: Final = 3
"""Seconds, both."""


class OneWrite:
    """A socket that keeps what is sent first until more is sent, or until `flush`.

    gunicorn writes head and body separately, and each write wakes the client.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._kept: bytes | None = b""

    def sendall(self, data: bytes) -> None:
        if self._kept == b"":
            self._kept = data
        else:
            kept, self._kept = self._kept or b"", None
            self._connection.sendall(kept + data)

    def flush(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, None
            self._connection.sendall(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class ApiWorker(LingeringWorker):
    """Sends the answers of the local Events API, which are short."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        connection = conn.sock
        conn.sock = joined = OneWrite(connection)
        try:
            keeps_open = super().handle_request(req, conn)
            joined.flush()
        finally:
            conn.sock = connection
        return keeps_open


class Server(SignalSafeApplication):
    """One process with threads, because the faults, the quota and the counts are kept in memory."""

    def __init__(
        self,
        options: Options,
        listener: socket.socket,
        when_ready: Callable[[], None],
        on_exit: Callable[[], None],
    ) -> None:
        """Take over `listener`. `when_ready` is called once the server is up, `on_exit` once it has ended."""
        self._options = options
        self._listener = listener.detach()
        self._when_ready = when_ready
        self._on_exit = on_exit
        self._api: EventsApi | None = None
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": [f"fd://{self._listener}"],
            "workers": 1,
            "worker_class": ApiWorker,
            "threads": THREADS,
            "keepalive": KEEP_ALIVE,
            # Nothing depends on what a proxy says of its client, so no address is looked up in a list.
            "forwarded_allow_ips": "*",
            "graceful_timeout": TIME_TO_STOP,
            "loglevel": "warning",
            "proc_name": "apitraffic-events-api",
            # It would need a home directory and leave files there.
            "control_socket_disable": True,
            "when_ready": lambda _arbiter: self._when_ready(),
            "on_exit": lambda _arbiter: self._on_exit(),
            "worker_exit": lambda _arbiter, _worker: self._close(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> EventsApi:
        self._api = create_app(self._options)
        return self._api

    def _close(self) -> None:
        """In the process that has loaded it."""
        if self._api is not None:
            self._api.close()
