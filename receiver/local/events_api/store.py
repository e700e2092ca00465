"""The events in SQLite: one file that other processes can read, every change committed before its answer.

A record is kept as the JSON text that the API answers with, so that lists need not parse it.
"""

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
"""An event in the API's form: JSON names, all fields."""

SID_CHARACTERS: Final = ((string.ascii_letters + string.digits) * 5)[:256].encode("ascii")
"""A letter or digit for each value of a random byte; eight of them come up a little more often."""
SID_LENGTH: Final = 27
LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another process that writes to the file."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    created_order INTEGER PRIMARY KEY,
    sid           TEXT NOT NULL UNIQUE,
    type          TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    buckets       TEXT NOT NULL,
    environments  TEXT NOT NULL,
    record        TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_newest_first ON events (started_at DESC, created_order DESC);
"""

# A parameter that is NULL filters nothing, so that there is one statement, which SQLite prepares once.
LIST: Final = """
SELECT record FROM events
WHERE (:type IS NULL OR type = :type)
  AND started_at >= coalesce(:started_from, '') AND started_at <= coalesce(:started_to, '~')
  AND (:created_until IS NULL OR json_extract(record, '$.createdAt') <= :created_until)
  AND (:bucket_sid IS NULL
       OR EXISTS (SELECT 1 FROM json_each(buckets) WHERE value IN (:bucket_sid, :everything)))
  AND (:environment_sid IS NULL
       OR EXISTS (SELECT 1 FROM json_each(environments) WHERE value IN (:environment_sid, :everything)))
ORDER BY started_at DESC, created_order DESC
LIMIT :count OFFSET :skip
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list: None for any. Timestamps are in the API's form and inclusive."""

    type: str | None = None
    started_from: str | None = None
    started_to: str | None = None
    bucket_sid: str | None = None
    environment_sid: str | None = None
    created_until: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `number` counts from 1."""

    limit: int
    number: int

    @property
    def skipped(self) -> int:
        return self.limit * (self.number - 1)


class Store:
    """Events by SID, for all threads of a process. Records are returned as JSON text."""

    def __init__(self, path: Path) -> None:
        """Open `path` and create it if it does not exist; raises sqlite3.Error if that fails."""
        # One connection: SQLite lets one writer in at a time anyway, and each connection would have to read
        # again what another one has changed.
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        # With WAL, this keeps every commit if the process dies, which is all that a stand-in has to survive.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(SCHEMA)

    def create(self, account_sid: str, fields: Record) -> str:
        """Store a new event with `fields` and what the server sets."""
        created_at = now()
        record = {
            "sid": new_sid(),
            "accountSid": account_sid,
            **fields,
            "createdAt": created_at,
            "updatedAt": created_at,
        }
        row = _row(record)
        with self._lock:
            self._connection.execute(
                "INSERT INTO events (sid, type, started_at, buckets, environments, record)"
                " VALUES (:sid, :type, :started_at, :buckets, :environments, :record)",
                row,
            )
        return row["record"]

    def get(self, sid: str) -> str | None:
        """Return an event, or None if it does not exist."""
        with self._lock:
            return self._record(sid)

    def update(self, sid: str, change: Callable[[Record], Record]) -> str | None:
        """Replace an event with what `change` makes of it, or return None if it does not exist.

        Nothing is changed if `change` raises.
        """
        with self._lock:
            current = self._record(sid)
            if current is None:
                return None
            row = _row({**change(json.loads(current)), "updatedAt": now()})
            self._connection.execute(
                "UPDATE events SET type = :type, started_at = :started_at, buckets = :buckets,"
                " environments = :environments, record = :record WHERE sid = :sid",
                row,
            )
        return row["record"]

    def delete(self, sid: str) -> bool:
        """Delete an event; False if it does not exist."""
        with self._lock:
            return self._connection.execute("DELETE FROM events WHERE sid = ?", (sid,)).rowcount == 1

    def find(self, wanted: EventFilter, page: Page) -> tuple[list[str], bool]:
        """Return one page of events, newest first, and whether more follow."""
        parameters = {
            "type": wanted.type,
            "started_from": wanted.started_from,
            "started_to": wanted.started_to,
            "bucket_sid": wanted.bucket_sid,
            "environment_sid": wanted.environment_sid,
            "created_until": wanted.created_until,
            "everything": EVERYTHING,
            "count": page.limit + 1,
            "skip": page.skipped,
        }
        with self._lock:
            rows = self._connection.execute(LIST, parameters).fetchall()
        return [record for (record,) in rows[: page.limit]], len(rows) > page.limit

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _record(self, sid: str) -> str | None:
        row = self._connection.execute("SELECT record FROM events WHERE sid = ?", (sid,)).fetchone()
        return None if row is None else row[0]


def new_sid() -> str:
    """A random event SID: `evt_` and 27 letters and digits."""
    return "evt_" + secrets.token_bytes(SID_LENGTH).translate(SID_CHARACTERS).decode("ascii")


def _row(record: Record) -> dict[str, str]:
    return {
        "sid": record["sid"],
        "type": record["type"],
        "started_at": record["startedAt"],
        "buckets": json.dumps(record["buckets"]),
        "environments": json.dumps(record["environments"]),
        "record": json.dumps(record),
    }
