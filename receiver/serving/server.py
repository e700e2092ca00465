"""Run the receiver under gunicorn, in this process."""

import resource
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from wsgiref.types import WSGIApplication

from gunicorn.config import Config  # type: ignore[import-untyped]  # has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from structlog import get_logger

from receiver.config.settings import Settings
from receiver.observability.metrics import SharedMetricsFolder
from receiver.observability.tracing import (
    are_on,
    start_in_this_process,
    stop_in_this_process,
    warn_of_obstacle,
)
from receiver.serving.allocator import return_large_blocks
from receiver.serving.buffering_worker import BufferingWorker
from receiver.serving.certificates import CannotUseCertificate, load_certificate
from receiver.serving.direct_worker import DirectTlsWorker, DirectWorker
from receiver.serving.signals import SignalSafeApplication
from receiver.serving.sockets import BACKLOG, base_url
from receiver.serving.tls_worker import TlsWorker
from receiver.web.app import announce_sources, create_app

KEEP_ALIVE: Final = 75
"""Seconds; longer than the idle time-out of common proxies, so that they close first."""
TIME_TO_STOP: Final = 20
"""Seconds that requests in progress get after SIGTERM."""
MOST_CONNECTIONS: Final = 1_000
"""Per process; further ones wait in the kernel. An idle connection costs no thread."""
MOST_REQUESTS: Final = 200_000
"""Requests after which a process is replaced, plus jitter, in case anything leaks. The next process is ready
before the last one stops. Each process leaves two small files of metrics until the receiver ends."""
LONGEST_LINE: Final = 8_190
MOST_FIELDS: Final = 100
"""In a request's head: gunicorn's own defaults, several times what any sender uses."""
STUCK_AFTER: Final = 60
"""Seconds after which a process without a heartbeat is killed."""


MOST_FILES: Final = 4_096
"""File descriptors of a process: its connections, those that are being closed, and those to Redis."""


class PropagatingLogger(Logger):  # type: ignore[misc]  # untyped, see above
    """Passes gunicorn's messages to our own logging. There is no access log: paths may hold tokens."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class ReceiverServer(SignalSafeApplication):
    """`workers` processes of `threads` threads each on one socket."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        workers: int,
        threads: int,
        certificate: tuple[Path, Path] | None = None,
        is_plain: bool = False,
    ) -> None:
        """Takes over `listener`. `certificate` is one and its key; raises `CannotUseCertificate`.

        With `is_plain`, or if there are traces, all deliveries go through the application.
        """
        self._settings = settings
        self._certificate = certificate
        self._tls: ssl.SSLContext | None = load_certificate(*certificate) if certificate else None
        self._url = base_url(listener, "https" if certificate else "http")
        self._listener = listener.detach()
        self._workers = workers
        self._threads = threads
        self._is_plain = is_plain or are_on()
        self._metrics_folder = SharedMetricsFolder()
        _allow_many_files()
        return_large_blocks()
        super().__init__()

    def load_config(self) -> None:
        values: dict[str, Any] = {
            "bind": [f"fd://{self._listener}"],
            "workers": self._workers,
            "worker_class": BufferingWorker if self._is_plain else DirectWorker,
            "threads": self._threads,
            "worker_connections": MOST_CONNECTIONS,
            "backlog": BACKLOG,
            "max_requests": MOST_REQUESTS,
            "max_requests_jitter": MOST_REQUESTS // 4,
            "limit_request_line": LONGEST_LINE,
            "limit_request_fields": MOST_FIELDS,
            "limit_request_field_size": LONGEST_LINE,
            # gunicorn itself trusts no proxy: receiver.web.client_address trusts those that are configured.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "header_map": "drop",
            "keepalive": KEEP_ALIVE,
            "timeout": STUCK_AFTER,
            "graceful_timeout": TIME_TO_STOP,
            "preload_app": True,
            "logger_class": PropagatingLogger,
            "loglevel": "warning",
            "proc_name": "apitraffic-events",
            # The control socket would need a home directory and leave files there.
            "control_socket_disable": True,
            # Only the first process runs this; atexit would run it in each.
            "on_exit": lambda _arbiter: self._metrics_folder.remove(),
            "when_ready": lambda _arbiter: self._announce(),
            # Threads do not survive the fork, so each process starts its own.
            "post_worker_init": lambda worker: self._start_threads(worker.wsgi),
            "worker_exit": lambda _arbiter, _worker: stop_in_this_process(),
        }
        if self._certificate is not None:
            certificate, key = map(str, self._certificate)
            values |= {"certfile": certificate, "keyfile": key}
            values["worker_class"] = TlsWorker if self._is_plain else DirectTlsWorker
            values["ssl_context"] = lambda _config, _default: self._tls
        for name, value in values.items():
            self.cfg.set(name, value)

    def reload(self) -> None:
        """On SIGHUP: new processes use the renewed certificate, or the old one if it cannot be used."""
        if self._certificate is not None:
            try:
                self._tls = load_certificate(*self._certificate)
            except CannotUseCertificate as error:
                get_logger("receiver").error("certificate not renewed", reason=str(error))
        super().reload()

    def load(self) -> WSGIApplication:
        return create_app(self._settings)

    def _start_threads(self, app: Any) -> None:
        app.extensions["spool_drain"].start()
        app.extensions["delivery_notes"].start()
        start_in_this_process()

    def _announce(self) -> None:
        announce_sources(self._settings)
        warn_of_obstacle()
        get_logger("receiver").info("receiver listens", url=self._url, workers=self._workers)


def _allow_many_files() -> None:
    """The usual limit is 1,024, which a process' connections alone would reach; the hard limit is higher."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MOST_FILES:
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
