"""Prometheus metrics, counted by each process in memory that it shares with its siblings.

The receiver's processes keep their metrics in files, which the scraped process adds up. The files of a
process that gunicorn has replaced stay, so that no counter falls. A worker keeps its own metrics and serves
them on a port of its own. Nothing here needs Redis; `receiver.monitoring.backlog` has the metrics that do.
"""

import fcntl
import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Final

from apitraffic_events import __version__

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells prometheus_client, when it is imported, that several processes count."""
FOLDER_PREFIX: Final = "apitraffic-metrics-"
TIME_TO_LOCK: Final = 60
"""Seconds for which a new folder is kept, as it may not be locked yet."""
ACCEPT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TRANSLATION_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)
DELIVERY_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LAG_SECONDS: Final = (
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
    30.0,
    60.0,
    300.0,
    1800.0,
    3600.0,
    21_600.0,
    86_400.0,
)


class SharedMetricsFolder:
    """A folder for the metrics of this process and those that it forks, created before the first metric.

    It is locked as long as one of these processes lives, so that the folders of killed receivers can be
    recognised and removed. A folder that an inherited variable names may be in use by another receiver.
    """

    def __init__(self) -> None:
        for folder in Path(gettempdir()).glob(f"{FOLDER_PREFIX}*"):
            # Another process may remove it first, or it may not be ours to remove.
            with suppress(OSError):
                _remove_abandoned(folder)
        self.folder = Path(mkdtemp(prefix=FOLDER_PREFIX))
        self._lock = os.open(self.folder, os.O_RDONLY)
        # Some network file systems have no locks. The receiver should start even without metrics.
        with suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        os.environ[SHARED_FOLDER] = str(self.folder)

    def remove(self) -> None:
        rmtree(self.folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    found = folder.lstat()
    is_being_made = time.time() - found.st_mtime < TIME_TO_LOCK
    if found.st_uid != os.geteuid() or is_being_made:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rmtree(folder)
    finally:
        os.close(lock)


class ReceptionMetrics:
    """What the receiver counts. Labels are our own words, never a sender's: their number is bounded."""

    def __init__(self, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        # prometheus_client decides when it is imported whether several processes share the metrics.
        from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: PLC0415 - see above

        self._own = CollectorRegistry()
        self._deliveries = Counter(
            "apitraffic_deliveries",
            "Authentic deliveries, by what became of them.",
            ["source", "outcome"],
            registry=self._own,
        )
        self._rejected = Counter(
            "apitraffic_rejected",
            "Requests that were not accepted, by reason.",
            ["source", "reason"],
            registry=self._own,
        )
        self._accept_seconds = Histogram(
            "apitraffic_accept_seconds",
            "From a request's headers read until a delivery's answer.",
            ["source"],
            buckets=ACCEPT_SECONDS,
            registry=self._own,
        )
        self._translation_seconds = Histogram(
            "apitraffic_translation_seconds",
            "Translating and routing one delivery.",
            ["source"],
            buckets=TRANSLATION_SECONDS,
            registry=self._own,
        )

        # Looking a child up by its labels costs as much as counting.
        self._outcomes: dict[tuple[str, str], Counter] = {}
        self._accepting: dict[str, Histogram] = {}
        self._translating: dict[str, Histogram] = {}

    def translated(self, source: str, seconds: float) -> None:
        """Count the translation and routing of one delivery."""
        child = self._translating.get(source)
        if child is None:
            child = self._translating[source] = self._translation_seconds.labels(source)
        child.observe(seconds)

    def answered(self, source: str, outcome: str, seconds: float) -> None:
        """Count the outcome of an authentic delivery, and the time since its headers had been read."""
        counted, timed = self._outcomes.get((source, outcome)), self._accepting.get(source)
        if counted is None or timed is None:
            counted = self._outcomes[source, outcome] = self._deliveries.labels(source, outcome)
            timed = self._accepting[source] = self._accept_seconds.labels(source)
        counted.inc()
        timed.observe(seconds)

    def rejected(self, source: str, reason: str) -> None:
        self._rejected.labels(source if source in self._sources else "none", reason).inc()

    def registry(self) -> "CollectorRegistry":
        """The metrics of all processes together, or of this one if it is the only one."""
        if not os.environ.get(SHARED_FOLDER):
            return self._own
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - see above
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # has no types here
        return registry


class DeliveryMetrics:
    """What one worker counts.

    `has_accounts` says whether apitraffic.toml defines accounts. Attempts, retries and dead letters then have
    the label `account`, which is empty, and so none for Prometheus, for the one of APITRAFFIC_ACCOUNT_SID.
    """

    def __init__(self, *, has_accounts: bool = False) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415 - see above

        self._registry = CollectorRegistry()
        self.has_accounts = has_accounts
        of_account = ["account"] if has_accounts else []
        built = Gauge(
            "apitraffic_build_info", "1, with this worker's version.", ["version"], registry=self._registry
        )
        built.labels(__version__).set(1)
        self.attempts = Counter(
            "apitraffic_delivery_attempts",
            "Tries to deliver a change, by how they ended; found: a look-up found the event already there.",
            ["outcome", *of_account],
            registry=self._registry,
        )
        self.retries = Counter(
            "apitraffic_retries",
            "Tries that are to be repeated, by the error that is the reason.",
            ["reason", *of_account],
            registry=self._registry,
        )
        self.dead_letters = Counter(
            "apitraffic_dead_letters",
            "Changes that are not tried again by themselves, by cause.",
            ["cause", *of_account],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "apitraffic_delivery_seconds",
            "One try to deliver a change, the API's answers included.",
            buckets=DELIVERY_SECONDS,
            registry=self._registry,
        )
        self.lag_seconds = Histogram(
            "apitraffic_delivery_lag_seconds",
            "From a change accepted to the API showing it, with all that it waited for.",
            buckets=LAG_SECONDS,
            registry=self._registry,
        )

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics over HTTP from a thread; returns the port, a free one for 0. Raises `OSError`."""
        from prometheus_client import start_http_server  # noqa: PLC0415 - see above

        server, _thread = start_http_server(port, host, self._registry)
        return int(server.server_port)
