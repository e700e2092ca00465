"""A full disk stops what comes in and never what goes out; no file of the spool is open to others."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.observability.trace_context import carrying
from receiver.reception.quarantine import Quarantined
from receiver.reception.spool import ROOM, Spool
from receiver.reception.spool_file import JOURNAL_RESERVE, SCHEMA
from tests.support.changes import at, change
from tests.support.disks import fill

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sizes(spool: Spool) -> dict[str, int]:
    return {entry.name: entry.stat().st_size for entry in spool.path.parent.iterdir()}


def kept_raw(identifier: str, size: int) -> Quarantined:
    came = Delivery("github", identifier, "push", headers={}, body=os.urandom(size), received_at=at(0))
    return Quarantined.of(came, "it cannot be translated")


def put_until_full(spool: Spool) -> int:
    for number in range(10_000):
        try:
            spool.put(kept_raw(f"d-{number}", 9_000))
        except StorageUnavailable:
            return number
    raise AssertionError("the disk is not full yet")


def make_as_version_0_1(path: Path, deliveries: int = 1) -> None:
    """With the write-ahead log, and with rights by the umask."""
    path.parent.mkdir(exist_ok=True)
    current = Spool(path.with_name("current.sqlite"))
    for number in range(deliveries):
        current.put((change("open", delivery=f"d-{number}"),))
    umask = os.umask(0o022)
    try:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(SCHEMA)
            database.execute("ATTACH ? AS current", (str(current.path),))
            database.execute("INSERT INTO deliveries SELECT * FROM current.deliveries")
    finally:
        os.umask(umask)
    for made in path.parent.glob("current.*"):
        made.unlink()


def test_removing_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    """What is larger afterwards, or new, would be what a full disk refuses. The journal never shrinks."""
    spool = Spool(tmp_path / "spool.sqlite")
    spool.put(kept_raw("large", 3 * 1024 * 1024))
    with carrying(TRACEPARENT):
        for number in range(400):
            spool.put((change("open", delivery=f"d-{number}", name="x" * 200),))
    before = sizes(spool)
    # As with another process that has the file open; the last one to close it would tidy up.
    with closing(sqlite3.connect(spool.path)) as other:
        other.execute("SELECT count(*) FROM deliveries").fetchone()
        spool.remove(spool.numbers())
        assert sizes(spool) == before
    assert spool.count() == 0
    assert before["spool.sqlite-journal"] == JOURNAL_RESERVE


def test_a_full_disk_lets_out_all_that_it_holds_and_then_takes_more(disk: Path) -> None:
    spool = Spool(disk / "spool.sqlite")
    kept = put_until_full(spool)
    fill(disk)
    with pytest.raises(StorageUnavailable, match="full"):
        spool.check()
    assert kept > 50
    assert len(spool.numbers()) == spool.count() == kept
    for number in spool.numbers()[:3]:
        assert spool.read(number) is not None
        spool.remove([number])
    spool.remove(spool.numbers())
    assert spool.count() == 0
    spool.check()
    assert put_until_full(spool) >= kept - ROOM // 9_000


def test_a_spool_that_cannot_take_more_says_so_before_it_has_to(tmp_path: Path) -> None:
    """SQLite keeps what a transaction writes in memory until it ends: one rolled back proves nothing."""
    spool = Spool(tmp_path / "spool.sqlite", largest=256 * 1024)
    spool.check()
    put_until_full(spool)
    with pytest.raises(StorageUnavailable, match="full"):
        spool.check()
    spool.remove(spool.numbers())
    spool.check()
    spool.check()
    assert spool.count() == 0


def test_what_an_earlier_version_spooled_can_be_read_on_a_full_disk_and_is_removed_once_there_is_room(
    disk: Path,
) -> None:
    path = disk / "spool.sqlite"
    make_as_version_0_1(path, deliveries=5)
    filler = fill(disk)
    spool = Spool(path)
    assert [spool.read(number) is not None for number in spool.numbers()] == [True] * 5
    filler.unlink()
    spool.remove(spool.numbers()[:1])
    assert spool.count() == 4
    assert sorted(sizes(spool)) == ["spool.sqlite", "spool.sqlite-journal"]


def test_a_spool_of_an_earlier_version_is_converted_when_it_is_first_used(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    make_as_version_0_1(path, deliveries=3)
    assert Spool(path).count() == 3
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_spool_that_an_earlier_version_holds_is_said_to_be_locked_and_is_used_afterwards(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spool.sqlite"
    make_as_version_0_1(path)
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute("BEGIN")
        earlier.execute("SELECT count(*) FROM deliveries").fetchone()
        with pytest.raises(StorageUnavailable, match="locked"):
            Spool(path).count()
    assert Spool(path).count() == 1


MAKE_AND_LEAVE = """
import os, sys
from pathlib import Path
from receiver.reception.spool import ROOM, Spool
from tests.support.changes import change
os.umask(0)
spool = Spool(Path(sys.argv[1]))
spool.put((change("open"),))
with spool.sole_drainer():
    os._exit(0)
"""


def open_to_others(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.stat().st_mode & 0o077)


def test_only_its_user_can_read_a_spool_whatever_the_umask_is(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    subprocess.run([sys.executable, "-c", MAKE_AND_LEAVE, str(path)], check=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        *("spool.lock", "spool.sqlite", "spool.sqlite-journal")
    ]
    assert open_to_others(tmp_path) == []


def test_a_spool_that_an_earlier_version_left_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    make_as_version_0_1(path)
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute("SELECT count(*) FROM deliveries").fetchone()
        assert open_to_others(tmp_path) == ["spool.sqlite", "spool.sqlite-shm", "spool.sqlite-wal"]
        with pytest.raises(StorageUnavailable):
            Spool(path).count()
        assert open_to_others(tmp_path) == []
    Spool(path).put((change("open"),))
    assert open_to_others(tmp_path) == []
