"""The spool on a real disk: nothing lost, nothing twice, never larger than allowed."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from receiver.config.loading import load_settings
from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.observability.trace_context import carrying
from receiver.reception.draining import Drain
from receiver.reception.quarantine import Quarantined
from receiver.reception.spool import Spool, Spooled, spool_of
from tests.support.changes import at, change


def oldest(spool: Spool, most: int = 9) -> list[Spooled]:
    return [spooled for number in spool.numbers()[:most] if (spooled := spool.read(number)) is not None]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "state" / "spool.sqlite")


def test_what_is_put_in_comes_out_in_order(spool: Spool) -> None:
    deliveries = [(change("open", 1, delivery=f"d-{number}"),) for number in range(5)]
    for one in deliveries:
        assert spool.put(one) is True
    assert spool.count() == 5
    assert [spooled.content for spooled in oldest(spool, 3)] == deliveries[:3]
    spool.remove([spooled.number for spooled in oldest(spool, 3)])
    assert [spooled.content for spooled in oldest(spool)] == deliveries[3:]


def test_a_delivery_is_kept_once(spool: Spool) -> None:
    assert spool.put((change("open", delivery="d-1"),)) is True
    assert spool.put((change("open", delivery="d-1"),)) is False
    assert spool.put((change("open", delivery="d-1", source="gitlab"),)) is True
    assert spool.count() == 2


def test_all_changes_of_a_delivery_stay_together(spool: Spool) -> None:
    both = (change("open", delivery="d-1"), change("close", 5, delivery="d-1"))
    spool.put(both)
    (spooled,) = oldest(spool)
    assert spooled.content == both


def test_a_delivery_that_means_nothing_to_us_is_kept_as_it_came(spool: Spool) -> None:
    body = bytes(range(256))
    headers = {"x-github-event": "release", "x-hub-signature-256": "sha256=1"}
    came = Delivery(source="github", id="d-1", event="release", headers=headers, body=body, received_at=at(0))
    assert spool.put(Quarantined.of(came, "the body is not JSON")) is True
    assert spool.put(Quarantined.of(came, "the body is not JSON")) is False
    (spooled,) = oldest(spool)
    assert isinstance(spooled.content, Quarantined)
    assert spooled.content.reason == "the body is not JSON"
    assert spooled.content.delivery == replace(came, headers={"x-github-event": "release"})


STORED_BY_0_1: Final = (
    b'{"delivery":{"source":"github","id":"72d3162e","event":"deployment_status","headers":{"content-type":'
    b'"application/json","x-odd":"J\xc3\xb6rg \xe2\x80\x9e\\u0001"},"body":"eyJyZWYiOiAi__4iLCAidHLDpGdl'
    b'IjogdHJ1ZX0_Pz4-","received_at":"2026-11-23T12:00:00.123Z"},"reason":"deployment.id is missing"}'
)
"""What version 0.1.0 wrote for the delivery of the test below, when `Delivery` was a pydantic model."""


def test_a_delivery_is_stored_as_the_version_before_stored_it(spool: Spool) -> None:
    came = Quarantined(
        Delivery(
            source="github",
            id="72d3162e",
            event="deployment_status",
            headers={"content-type": "application/json", "x-odd": "J\u00f6rg \u201e\x01"},
            body=b'{"ref": "\xff\xfe", "tr\xc3\xa4ge": true}??>>',
            received_at=datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC),
            content={"tr\u00e4ge": True},
        ),
        "deployment.id is missing",
    )
    spool.put(came)
    with closing(sqlite3.connect(spool.path)) as database, database:
        assert database.execute("SELECT content FROM deliveries").fetchone() == (STORED_BY_0_1,)
        database.execute("UPDATE deliveries SET content = ?", (STORED_BY_0_1,))
    (spooled,) = oldest(spool)
    assert spooled.content == came


def test_a_delivery_keeps_the_trace_it_came_with_also_in_a_file_that_knew_of_none(spool: Spool) -> None:
    spool.put((change("open", delivery="untraced"),))
    with carrying("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        spool.put((change("open", delivery="traced"),))
    untraced, traced = oldest(spool)
    assert (untraced.traceparent, str(traced.traceparent)[:5]) == (None, "00-4b")
    spool.remove([traced.number])
    with closing(sqlite3.connect(spool.path)) as database, database:
        assert database.execute("SELECT count(*) FROM traces").fetchone() == (0,)


def test_an_unused_spool_makes_no_file(spool: Spool) -> None:
    assert spool.count() == 0
    assert not spool.path.parent.exists()


def test_it_is_there_for_another_process(spool: Spool) -> None:
    spool.put((change("open", delivery="d-1"),))
    assert Spool(spool.path).count() == 1
    with closing(sqlite3.connect(spool.path)) as database, database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_threads_may_put_at_once(spool: Spool) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(
            pool.map(lambda number: spool.put((change("open", delivery=f"d-{number % 50}"),)), range(100))
        )
    assert sum(kept) == 50
    assert spool.count() == 50


def fill(spool: Spool) -> None:
    for number in range(10_000):
        spool.put((change("open", delivery=f"d-{number}"),))


def test_it_does_not_grow_beyond_its_bound_and_takes_more_once_it_has_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", largest=128 * 1024)
    with pytest.raises(StorageUnavailable, match="full"):
        fill(spool)
    kept = spool.count()
    assert kept > 20
    assert spool.path.stat().st_size <= 128 * 1024
    spool.remove([spooled.number for spooled in oldest(spool, kept // 2)])
    assert spool.put((change("open", delivery="later"),)) is True


def test_a_disk_that_does_not_play_along_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    spool = Spool(tmp_path / "file" / "spool.sqlite")
    for use in (lambda: spool.put((change("open"),)), spool.check):
        with pytest.raises(StorageUnavailable, match="spool"):
            use()


def test_a_damaged_file_is_said(spool: Spool) -> None:
    spool.path.parent.mkdir()
    spool.path.write_bytes(b"this is no database, but it is long enough to be looked at " * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        spool.put((change("open"),))


def test_one_drains_at_a_time(spool: Spool) -> None:
    spool.put((change("open"),))
    answers: list[bool] = []

    def other() -> None:
        with spool.sole_drainer() as may_drain:
            answers.append(may_drain)

    with spool.sole_drainer() as may_drain:
        assert may_drain
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert answers == [False, True]


def test_checking_leaves_nothing_behind(spool: Spool) -> None:
    spool.check()
    assert spool.count() == 0


def test_the_first_ones_may_come_at_once(tmp_path: Path) -> None:
    rounds, together = 30, 8
    for attempt in range(rounds):
        path = tmp_path / str(attempt) / "spool.sqlite"
        start = threading.Barrier(together)

        def put(number: int, path: Path = path, start: threading.Barrier = start) -> bool:
            start.wait()
            return Spool(path).put((change("open", delivery=f"d-{number}"),))

        with ThreadPoolExecutor(together) as pool:
            assert all(pool.map(put, range(together)))
        assert [entry.name for entry in path.parent.iterdir() if entry.is_dir()] == []
        assert Spool(path).count() == together


def test_two_accounts_in_one_file_see_only_their_own(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    production, staging = Spool(path, owner="acc_1"), Spool(path, owner="acc_2")
    without_account = Spool(path, owner="")
    assert production.put((change("open", delivery="same-body"),)) is True
    assert staging.put((change("close", delivery="same-body"),)) is True, "another account's is no duplicate"
    assert [spooled.content for spooled in oldest(staging)] == [(change("close", delivery="same-body"),)]
    assert (production.count(), production.of_others()) == (1, 1)
    assert (without_account.count(), without_account.of_others()) == (0, 2)

    moved: list[object] = []
    assert Drain(staging, moved.append, lambda: None).run() == 1
    assert len(moved) == production.count() == 1
    assert Spool(path).count() == 1, "who names the file has all of it"


def test_what_an_earlier_version_has_spooled_drains(tmp_path: Path) -> None:
    Spool(tmp_path / "spool.sqlite").put((change("open"),))
    assert Spool(tmp_path / "spool.sqlite", owner="acc_1").count() == 1


def test_only_the_default_file_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    own = {"APITRAFFIC_ACCOUNT_SID": "acc_1"}
    shared, another = spool_of(load_settings(own)), spool_of(load_settings({}))
    named = spool_of(load_settings({"APITRAFFIC_SPOOL": str(tmp_path / "apitraffic-events/spool.sqlite")}))
    assert shared
    assert another
    assert named
    assert shared.path == another.path == named.path
    shared.put((change("open"),))
    assert [each.count() for each in (shared, another, named)] == [1, 0, 1]
    assert spool_of(load_settings({"APITRAFFIC_SPOOL": "off"})) is None
