"""Serve the console with gunicorn, in this process."""

import socket
from collections.abc import Callable
from typing import Any, Final
from wsgiref.types import WSGIApplication

from receiver.serving.lingering_worker import LingeringWorker
from receiver.serving.server import PropagatingLogger
from receiver.serving.signals import SignalSafeApplication
from receiver.serving.sockets import BACKLOG

THREADS: Final = 8
KEEP_ALIVE: Final = 75
TIME_TO_STOP: Final = 3
STUCK_AFTER: Final = 60
"""Seconds, all three."""


class ConsoleServer(SignalSafeApplication):
    """One process with threads, because all viewers share what it knows of the account's events."""

    def __init__(
        self,
        listener: socket.socket,
        load: Callable[[], WSGIApplication],
        start: Callable[[WSGIApplication], None],
        when_ready: Callable[[], None],
    ) -> None:
        """Take over `listener`. `load` makes the application, and `start` its threads, in the process that
        serves it.
        """
        self._listener = listener.detach()
        self._load = load
        self._start = start
        self._when_ready = when_ready
        super().__init__()

    def load_config(self) -> None:
        values: dict[str, Any] = {
            "bind": [f"fd://{self._listener}"],
            "workers": 1,
            "worker_class": LingeringWorker,
            "threads": THREADS,
            "backlog": BACKLOG,
            "keepalive": KEEP_ALIVE,
            "timeout": STUCK_AFTER,
            "graceful_timeout": TIME_TO_STOP,
            # The console itself says which proxy it believes.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "header_map": "drop",
            "logger_class": PropagatingLogger,
            "loglevel": "warning",
            "proc_name": "apitraffic-events-console",
            # It would need a home directory and leave files there.
            "control_socket_disable": True,
            "when_ready": lambda _arbiter: self._when_ready(),
            "post_worker_init": lambda worker: self._start(worker.wsgi),
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        return self._load()
