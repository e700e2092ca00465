"""Deliveries on this host's disk while Redis is unreachable: SQLite, shared by the receiver's processes."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import TypeAdapter, ValidationError
from structlog import get_logger

from receiver.errors import StorageUnavailable
from receiver.events import Change
from receiver.observability.trace_context import carried
from receiver.reception.quarantine import Quarantined

LARGEST: Final = 256 * 1024 * 1024
"""Bytes on disk, enough for some hundred thousand deliveries."""
PAGE_SIZE: Final = 4096
PATIENCE: Final = 2.0
"""Seconds to wait for another process that is writing."""
Content = tuple[Change, ...] | Quarantined
"""A delivery's changes, or the delivery itself if it could not be translated."""
CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    delivery TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (source, delivery)
)
"""

TRACES: Final = """
CREATE TABLE IF NOT EXISTS traces (number INTEGER PRIMARY KEY, traceparent TEXT NOT NULL)
"""
"""A table of its own, created only when there are traces: another version may have made the file."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A delivery in the spool; numbers ascend in the order of arrival."""

    number: int
    content: Content
    traceparent: str | None = None


class Spool:
    """A file of deliveries. Every method raises `StorageUnavailable` if the disk fails or is full.

    `synchronous=FULL` with the write-ahead log: once `put` returns, the delivery survives a power failure.
    https://sqlite.org/pragma.html#pragma_synchronous
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self.path = path
        self._largest = largest

    def put(self, content: Content) -> bool:
        """Store one delivery; returns `False` if it is in the spool already."""
        delivery = content.delivery if isinstance(content, Quarantined) else content[0].delivery
        row = (delivery.source, delivery.id, CONTENT.dump_json(content, by_alias=True))
        with self._opened() as database, database:
            cursor = database.execute(
                "INSERT OR IGNORE INTO deliveries (source, delivery, content) VALUES (?, ?, ?)", row
            )
            if cursor.rowcount > 0 and (traceparent := carried()) is not None:
                database.execute(TRACES)
                database.execute("INSERT INTO traces VALUES (?, ?)", (cursor.lastrowid, traceparent))
            return cursor.rowcount > 0

    def oldest(self, most: int) -> list[Spooled]:
        """The oldest deliveries. What cannot be read is moved to the table `unreadable`, and logged."""
        with self._opened() as database:
            rows = database.execute(
                "SELECT number, content FROM deliveries ORDER BY number LIMIT ?", (most,)
            ).fetchall()
            traces = dict(database.execute("SELECT * FROM traces")) if _has_traces(database) else {}
        readable = []
        for number, content in rows:
            try:
                readable.append(Spooled(number, CONTENT.validate_json(content), traces.get(number)))
            except ValidationError:
                self._set_aside(number)
        return readable

    def _set_aside(self, number: int) -> None:
        with self._opened() as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS unreadable AS SELECT * FROM deliveries WHERE 0")
            database.execute("INSERT INTO unreadable SELECT * FROM deliveries WHERE number = ?", (number,))
            database.execute("DELETE FROM deliveries WHERE number = ?", (number,))
        get_logger("receiver.spool").error(
            "a delivery in the spool cannot be read; it is in the table unreadable", file=str(self.path)
        )

    def remove(self, number: int) -> None:
        with self._opened() as database, database:
            database.execute("DELETE FROM deliveries WHERE number = ?", (number,))
            if _has_traces(database):
                database.execute("DELETE FROM traces WHERE number = ?", (number,))

    def count(self) -> int:
        """How many deliveries are in the spool; 0 if there is no file yet."""
        if not self.path.exists():
            return 0
        with self._opened() as database:
            return int(database.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    def check(self) -> None:
        """Prove that the spool can be written to."""
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO deliveries (source, delivery, content) VALUES ('', '', '')")
            database.execute("ROLLBACK")

    @contextmanager
    def sole_drainer(self) -> Iterator[bool]:
        """Whether this process is the one that may drain the spool now. The lock ends with the process."""
        with self._lock_file() as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        try:
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageUnavailable(f"spool {self.path}: {error.strerror}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        """Create the file elsewhere and link it into place; the first of several processes wins.

        If two connections enable the write-ahead log at the same time, SQLite fails without waiting.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.path.parent) as folder:
            made = Path(folder, self.path.name)
            with closing(sqlite3.connect(made)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute(SCHEMA)
            with suppress(FileExistsError):
                os.link(made, self.path)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection for one use: the spool is used rarely, and so neither threads nor forks share one."""
        try:
            if not self.path.exists():
                self._make()
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as database:
                database.execute(f"PRAGMA max_page_count = {self._largest // PAGE_SIZE}")
                database.execute("PRAGMA synchronous = FULL")
                yield database
        except (sqlite3.Error, OSError) as error:
            raise StorageUnavailable(f"spool {self.path}: {error}") from error


def _has_traces(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'traces'").fetchone() is not None
