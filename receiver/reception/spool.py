"""Deliveries on this host's disk while Redis is unreachable: SQLite, shared by the receiver's processes."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from structlog import get_logger

from receiver.config.settings import Settings
from receiver.errors import StorageUnavailable
from receiver.events import Change
from receiver.observability.trace_context import carried
from receiver.reception.quarantine import Quarantined
from receiver.reception.spool_file import PRIVATE, REMOVED_AT_ONCE, SpoolFile

LARGEST: Final = 256 * 1024 * 1024
"""Bytes on disk, enough for some hundred thousand deliveries."""
ROOM: Final = 64 * 1024
"""Bytes for which `check` wants room."""
Content = tuple[Change, ...] | Quarantined
"""A delivery's changes, or the delivery itself if it could not be translated."""
CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)

OWN: Final = "(instr(source, '@') = 0 OR substr(source, instr(source, '@') + 1) = :owner)"
"""Rows of this owner, and those that name none, as a receiver of an earlier version or without an account
writes them. No sender's name has an @.
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

    Once `put` returns, the delivery survives a power failure. `numbers`, `read` and `remove` need no new room
    on the disk: see `receiver.reception.spool_file`.

    Several receivers may use one file, each with an `owner`: none sees what another has put there. Without an
    owner, everything in the file is this receiver's.
    """

    def __init__(self, path: Path, largest: int = LARGEST, owner: str | None = None) -> None:
        self.path = path
        self._owner = owner
        self._own = "1" if owner is None else OWN
        self._file = SpoolFile(path, largest)

    def put(self, content: Content) -> bool:
        """Store one delivery; returns `False` if it is in the spool already."""
        delivery = content.delivery if isinstance(content, Quarantined) else content[0].delivery
        source = f"{delivery.source}@{self._owner}" if self._owner else delivery.source
        row = (source, delivery.id, CONTENT.dump_json(content, by_alias=True))
        with self._file.written() as database:
            cursor = database.execute(
                "INSERT OR IGNORE INTO deliveries (source, delivery, content) VALUES (?, ?, ?)", row
            )
            if cursor.rowcount > 0 and (traceparent := carried()) is not None:
                database.execute(TRACES)
                database.execute("INSERT INTO traces VALUES (?, ?)", (cursor.lastrowid, traceparent))
            return cursor.rowcount > 0

    def numbers(self) -> list[int]:
        """The numbers of all deliveries, the oldest first."""
        if not self.path.exists():
            return []
        with self._file.opened() as database:
            found = database.execute(
                f"SELECT number FROM deliveries WHERE {self._own} ORDER BY number",  # noqa: S608 - a constant
                {"owner": self._owner},
            )
            return [number for (number,) in found]

    def read(self, number: int) -> Spooled | None:
        """The delivery with this number, if it is still there.

        One that cannot be read is moved to the table `unreadable`, and logged.
        """
        with self._file.opened() as database:
            row = database.execute("SELECT content FROM deliveries WHERE number = ?", (number,)).fetchone()
            trace = None
            if row is not None and _has_traces(database):
                trace = database.execute(
                    "SELECT traceparent FROM traces WHERE number = ?", (number,)
                ).fetchone()
        if row is None:
            return None
        try:
            content = CONTENT.validate_json(row[0])
        except ValidationError:
            self._set_aside(number)
            return None
        return Spooled(number, content, trace[0] if trace else None)

    def _set_aside(self, number: int) -> None:
        with self._file.written() as database:
            database.execute("CREATE TABLE IF NOT EXISTS unreadable AS SELECT * FROM deliveries WHERE 0")
            database.execute("INSERT INTO unreadable SELECT * FROM deliveries WHERE number = ?", (number,))
            database.execute("DELETE FROM deliveries WHERE number = ?", (number,))
        get_logger("receiver.spool").error(
            "a delivery in the spool cannot be read; it is in the table unreadable", file=str(self.path)
        )

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove deliveries, many in one transaction. If it raises, some may have been removed."""
        for first in range(0, len(numbers), REMOVED_AT_ONCE):
            some = [(number,) for number in numbers[first : first + REMOVED_AT_ONCE]]
            with self._file.written() as database:
                database.executemany("DELETE FROM deliveries WHERE number = ?", some)
                if _has_traces(database):
                    database.executemany("DELETE FROM traces WHERE number = ?", some)

    def count(self) -> int:
        """How many deliveries are in the spool; 0 if there is no file yet."""
        return self._count(self._own)

    def of_others(self) -> int:
        """How many deliveries wait in the same file for other owners."""
        return self._count(f"NOT ({self._own})")

    def _count(self, which: str) -> int:
        if not self.path.exists():
            return 0
        with self._file.opened() as database:
            found = database.execute(
                f"SELECT count(*) FROM deliveries WHERE {which}",  # noqa: S608 - a constant
                {"owner": self._owner},
            )
            return int(found.fetchone()[0])

    def check(self) -> None:
        """Prove that the spool has room for one more delivery, and can write it.

        The proof is written and removed again, in two transactions: until one ends, SQLite may keep all of it
        in memory. The pages that it has used stay with the file, for the next delivery.
        """
        with self._file.written() as database:
            database.execute("CREATE TABLE IF NOT EXISTS room (proof BLOB)")
            database.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM,))
        with self._file.written() as database:
            database.execute("DELETE FROM room")

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
        lock = self.path.with_suffix(".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise StorageUnavailable(f"spool {self.path}: {error.strerror}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def spool_of(settings: Settings) -> Spool | None:
    """The receiver's spool; `None` if it is off.

    All receivers that one user starts have the same default file, so each takes from it only what was
    accepted for its own account. A file that APITRAFFIC_SPOOL names belongs to one receiver, whatever its
    account is.
    """
    if settings.spool is None:
        return None
    is_named = "spool" in settings.model_fields_set
    return Spool(settings.spool, owner=None if is_named else settings.account_sid or "")


def _has_traces(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'traces'").fetchone() is not None
