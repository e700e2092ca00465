"""The file of the spool: how it is made, opened and kept private, and what a full disk must not stop.

The journal is a rollback journal that stays (`journal_mode=PERSIST`), and is made larger beforehand than a
removal needs. Removing a delivery from a full disk then writes only to blocks that the file already has.
The write-ahead log of earlier versions needs new blocks even to delete, and if there are none for its shared
memory, SIGBUS kills the process. A file with such a log is converted when it is first opened.
https://sqlite.org/pragma.html#pragma_journal_mode
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from receiver.errors import StorageUnavailable

PAGE_SIZE: Final = 4096
PATIENCE: Final = 2.0
"""Seconds to wait for another process that is writing."""
JOURNAL_RESERVE: Final = 1024 * 1024
"""Bytes of the journal, several times what the removal of `REMOVED_AT_ONCE` deliveries writes to it."""
REMOVED_AT_ONCE: Final = 50
PRIVATE: Final = 0o600
SUFFIXES: Final = ("", "-journal", "-wal", "-shm")
"""SQLite's own files beside the database have these names."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    delivery TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (source, delivery)
)
"""


class SpoolFile:
    """Opens the file for one use: the spool is used rarely, and so neither threads nor forks share a
    connection.

    Never open the database in any other way in this process: closing it would end SQLite's locks on it.
    https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
    """

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self._largest = largest
        self._is_private = False
        self._is_converted = False
        self._turn = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """A connection; raises `StorageUnavailable` if the disk fails or is full."""
        try:
            if not self.path.exists():
                self._make()
            if not self._is_private:
                self._make_private()
            with closing(self._connect()) as database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise StorageUnavailable(f"spool {self.path}: {error}") from error

    @contextmanager
    def written(self) -> Iterator[sqlite3.Connection]:
        """A transaction. `synchronous=FULL`: once it is committed, it survives a power failure.

        https://sqlite.org/pragma.html#pragma_synchronous
        """
        # SQLite lets writers try again at intervals, so that one of many can miss its turn until it gives up.
        with self._turn, self.opened() as database, database:
            database.execute("BEGIN IMMEDIATE")
            self._reserve_journal()
            yield database

    def _connect(self) -> sqlite3.Connection:
        """A connection that keeps the rollback journal."""
        if not self._is_converted:
            alone = self._connect_alone()
            if not self._is_converted:
                return alone
            alone.close()
        database = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            self._prepare(database)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _connect_alone(self) -> sqlite3.Connection:
        """A connection that shares the file with no other, and so needs no shared memory.

        It converts a file that still has a write-ahead log. On a full disk it cannot, and is used as it is.
        """
        database = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            with suppress(sqlite3.OperationalError):
                self._prepare(database)
            (mode,) = database.execute("PRAGMA journal_mode").fetchone()
            self._is_converted = mode == "persist"
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute(f"PRAGMA max_page_count = {self._largest // PAGE_SIZE}")
        database.execute("PRAGMA synchronous = FULL")
        # Removing overwrites no whole pages, which would first copy them all to the journal.
        database.execute("PRAGMA secure_delete = FAST")
        database.execute("PRAGMA journal_mode = PERSIST")

    def _reserve_journal(self) -> None:
        """Make the journal as large as it may have to be. The caller holds the lock for writing.

        The journal may only be created while there is a transaction, and SQLite does not read beyond what it
        has written there. If there is no room, the transaction itself may still succeed.
        """
        journal = self.path.with_name(f"{self.path.name}-journal")
        with suppress(OSError):
            descriptor = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            try:
                if os.geteuid() == 0:
                    # `doctor` may run as root, and the receiver has to open this file too.
                    owner = self.path.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                size = os.fstat(descriptor).st_size
                if size < JOURNAL_RESERVE:
                    os.pwrite(descriptor, bytes(JOURNAL_RESERVE - size), size)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _make(self) -> None:
        """Create the file elsewhere and link it into place; the first of several processes wins.

        So nobody sees it before it has its table, and it is private from the start.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.path.parent) as folder:
            made = Path(folder, self.path.name)
            made.touch(PRIVATE)
            with closing(sqlite3.connect(made)) as database:
                database.execute(SCHEMA)
            with suppress(FileExistsError):
                os.link(made, self.path)

    def _make_private(self) -> None:
        """Earlier versions left the mode to the umask; SQLite's other files have that of the database."""
        for suffix in SUFFIXES:
            file = self.path.with_name(f"{self.path.name}{suffix}")
            # It may belong to somebody else, who has given us access on purpose.
            with suppress(FileNotFoundError, PermissionError):
                if file.stat().st_mode & 0o777 & ~PRIVATE:
                    file.chmod(PRIVATE)
        self._is_private = True
