"""The events on SQLite: one file, readable while it is written, nothing answered before it is committed."""

import json
import secrets
import sqlite3
import string
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from receiver.local.events_api.catalogue import EVERYTHING
from receiver.local.events_api.timestamps import now

Record = dict[str, Any]
"""An event as the API gives it: JSON names, all fields."""

SID_CHARACTERS: Final = string.ascii_letters + string.digits
SID_LENGTH: Final = 27
SECONDS_TO_WAIT_FOR_LOCK: Final = 10.0

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    created_order INTEGER PRIMARY KEY AUTOINCREMENT,
    sid           TEXT NOT NULL UNIQUE,
    type          TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    buckets       TEXT NOT NULL,
    environments  TEXT NOT NULL,
    record        TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_newest_first ON events (started_at DESC, created_order DESC);
"""

# A parameter that is NULL filters nothing; the statement stays one text that SQLite prepares once.
LIST: Final = """
SELECT record FROM events
WHERE (:type IS NULL OR type = :type)
  AND started_at >= coalesce(:started_from, '') AND started_at <= coalesce(:started_to, '~')
  AND (:bucket_sid IS NULL
       OR EXISTS (SELECT 1 FROM json_each(buckets) WHERE value IN (:bucket_sid, :everything)))
  AND (:environment_sid IS NULL
       OR EXISTS (SELECT 1 FROM json_each(environments) WHERE value IN (:environment_sid, :everything)))
ORDER BY started_at DESC, created_order DESC
LIMIT :count OFFSET :skip
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; timestamps in the API's own form, both ends included, `None` for any."""

    type: str | None = None
    started_from: str | None = None
    started_to: str | None = None
    bucket_sid: str | None = None
    environment_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1."""

    limit: int
    number: int

    @property
    def skipped(self) -> int:
        return self.limit * (self.number - 1)


class Store:
    """Events by SID. One connection per thread; `close` closes those of all threads."""

    def __init__(self, path: Path) -> None:
        """Open `path`, creating it where it does not exist; raises sqlite3.Error where that is impossible."""
        self._path = path
        self._of_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        # SQLite lets waiting writers poll; queueing them here is several times faster.
        self._writing = threading.Lock()
        connection = self._connection()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)

    def create(self, account_sid: str, fields: Record) -> Record:
        """Keep a new event with `fields` and give it back with what the server sets."""
        created_at = now()
        record = {
            "sid": "evt_" + "".join(secrets.choice(SID_CHARACTERS) for _ in range(SID_LENGTH)),
            "accountSid": account_sid,
            **fields,
            "createdAt": created_at,
            "updatedAt": created_at,
        }
        with self._writing:
            self._connection().execute(
                "INSERT INTO events (sid, type, started_at, buckets, environments, record)"
                " VALUES (:sid, :type, :started_at, :buckets, :environments, :record)",
                _columns(record),
            )
        return record

    def get(self, sid: str) -> Record | None:
        row = self._connection().execute("SELECT record FROM events WHERE sid = ?", (sid,)).fetchone()
        return None if row is None else json.loads(row[0])

    def update(self, sid: str, change: Callable[[Record], Record]) -> Record | None:
        """Replace an event with what `change` makes of it; `None` where there is none.

        Nothing is changed when `change` raises.
        """
        with self._writing:
            current = self.get(sid)
            if current is None:
                return None
            record = {**change(current), "updatedAt": now()}
            self._connection().execute(
                "UPDATE events SET type = :type, started_at = :started_at, buckets = :buckets,"
                " environments = :environments, record = :record WHERE sid = :sid",
                _columns(record),
            )
        return record

    def delete(self, sid: str) -> bool:
        """Forget an event; False where there was none."""
        with self._writing:
            return self._connection().execute("DELETE FROM events WHERE sid = ?", (sid,)).rowcount == 1

    def find(self, wanted: EventFilter, page: Page) -> tuple[list[Record], bool]:
        """Give one page of events, newest first, and whether more follow."""
        rows = (
            self._connection()
            .execute(
                LIST,
                {
                    "type": wanted.type,
                    "started_from": wanted.started_from,
                    "started_to": wanted.started_to,
                    "bucket_sid": wanted.bucket_sid,
                    "environment_sid": wanted.environment_sid,
                    "everything": EVERYTHING,
                    "count": page.limit + 1,
                    "skip": page.skipped,
                },
            )
            .fetchall()
        )
        return [json.loads(row[0]) for row in rows[: page.limit]], len(rows) > page.limit

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path,
                timeout=SECONDS_TO_WAIT_FOR_LOCK,
                isolation_level=None,
                # Each thread uses its own; only close() reaches across.
                check_same_thread=False,
            )
            # With WAL this keeps every commit when the process dies, which is all a stand-in has to survive.
            connection.execute("PRAGMA synchronous = NORMAL")
            self._of_thread.connection = connection
            self._connections.append(connection)
        return connection


def _columns(record: Record) -> dict[str, str]:
    return {
        "sid": record["sid"],
        "type": record["type"],
        "started_at": record["startedAt"],
        "buckets": json.dumps(record["buckets"]),
        "environments": json.dumps(record["environments"]),
        "record": json.dumps(record),
    }
