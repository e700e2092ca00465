"""The spool drains into a real Redis whatever is wrong with the disk or with one delivery, and says so."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from structlog.testing import capture_logs

from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from receiver.reception.delivery_store import DeliveryStore, SpoolDrain
from receiver.reception.draining import Reminder
from receiver.reception.quarantine import INDEX, Quarantine, Quarantined
from receiver.reception.spool import Spool
from receiver.web.app import create_app
from tests.support.changes import at, change
from tests.support.github import SECRET
from tests.support.waiting import wait_until


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool.sqlite")
    for number in range(3):
        spool.put((change("point", delivery=f"d-{number}"),))
    return spool


def store_of(redis: Redis, spool: Spool) -> DeliveryStore:
    return DeliveryStore(Enqueuer(redis), Quarantine(redis), spool)


@pytest.fixture
def store(redis: Redis, spool: Spool) -> DeliveryStore:
    return store_of(redis, spool)


@contextmanager
def nothing_can_be_removed(spool: Spool) -> Iterator[None]:
    """As on a full disk whose file system copies what it changes: SQLite's own words, from a trigger."""
    with closing(sqlite3.connect(spool.path)) as database, database:
        database.execute(
            "CREATE TRIGGER full BEFORE DELETE ON deliveries "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    yield
    with closing(sqlite3.connect(spool.path)) as database, database:
        database.execute("DROP TRIGGER full")


def test_what_cannot_be_removed_is_delivered_all_the_same_and_removed_later(
    redis: Redis, spool: Spool, store: DeliveryStore
) -> None:
    with nothing_can_be_removed(spool):
        assert store.drain() == 3
        assert delivery_queue(redis).job_ids == ["github-d-0-0", "github-d-1-0", "github-d-2-0"]
        assert "cannot be removed: spool" in str(store.spool_problem())
        assert "disk is full" in str(store.spool_problem())
        spool.put((change("point", delivery="d-3"),))
        assert store.drain() == 1
        assert store.spooled() == 4
    assert store.drain() == 0
    assert (store.spooled(), store.spool_problem()) == (0, None)
    assert delivery_queue(redis).count == 4


def test_another_process_moves_it_again_and_redis_recognises_it(
    redis: Redis, spool: Spool, store: DeliveryStore
) -> None:
    with nothing_can_be_removed(spool):
        assert store.drain() == 3
        assert store_of(redis, spool).drain() == 3
    assert delivery_queue(redis).count == 3


def test_one_that_cannot_be_moved_holds_up_no_other(redis: Redis, spool: Spool, store: DeliveryStore) -> None:
    """Somebody has put something else where the quarantine belongs."""
    raw = Delivery("github", "raw", "push", headers={}, body=b"{", received_at=at(0))
    spool.put(Quarantined.of(raw, "not JSON"))
    spool.put((change("point", delivery="behind"),))
    redis.set(INDEX, "something else")
    assert store.drain() == 4
    assert "github-behind-0" in delivery_queue(redis).job_ids
    assert "delivery 4: Redis" in str(store.spool_problem())
    assert spool.numbers() == [4]
    redis.delete(INDEX)
    assert store.drain() == 1
    assert (store.spooled(), store.spool_problem()) == (0, None)


def test_one_that_nobody_can_read_is_set_aside_or_left_and_holds_up_no_other(
    redis: Redis, spool: Spool, store: DeliveryStore
) -> None:
    with closing(sqlite3.connect(spool.path)) as database, database:
        database.execute("UPDATE deliveries SET content = 'rubbish' WHERE number = 1")
    with nothing_can_be_removed(spool):
        assert store.drain() == 2
        assert "delivery 1: spool" in str(store.spool_problem())
    store.drain()
    assert (store.spooled(), store.spool_problem()) == (0, None)
    with closing(sqlite3.connect(spool.path)) as database:
        assert database.execute("SELECT number FROM unreadable").fetchall() == [(1,)]


def test_a_redis_that_takes_nothing_is_no_problem_of_the_spool(redis: Redis, store: DeliveryStore) -> None:
    redis.config_set("maxmemory", 1)
    with pytest.raises(StorageUnavailable, match=r"Redis: .*maxmemory"):
        store.drain()
    assert (store.spooled(), store.spool_problem()) == (3, None)


def test_the_log_says_at_once_why_deliveries_stay(spool: Spool, store: DeliveryStore) -> None:
    with capture_logs() as logged, nothing_can_be_removed(spool):
        thread = SpoolDrain(store)
        thread.start()
        try:
            wait_until(lambda: any(line["log_level"] == "warning" for line in logged), "a warning")
        finally:
            thread.stop()
            thread.join()
    (line,) = [line for line in logged if line["log_level"] == "warning"]
    assert line["event"] == "deliveries stay in the spool"
    assert "disk is full" in line["reason"]


def test_no_thread_is_made_before_the_server_forks(redis_url: str) -> None:
    """CPython 3.13.0 would not start it in the other process."""
    before = set(threading._dangling)  # type: ignore[attr-defined]  # noqa: SLF001 - all threads, started or not
    app = create_app(Settings.model_validate({"redis_url": redis_url}))
    assert set(threading._dangling) == before  # type: ignore[attr-defined]  # noqa: SLF001
    assert app.extensions["spool_drain"]


def test_and_says_it_again_after_growing_pauses() -> None:
    seconds = 0.0
    reminder = Reminder(lambda: seconds)
    said = []
    for second in range(20_000):
        seconds = float(second)
        if reminder.is_due():
            said.append(second)
    assert said == [0, 60, 180, 420, 900, 1860, 3780, 7380, 10980, 14580, 18180]
    reminder.reset()
    assert reminder.is_due()


def test_readyz_and_metrics_say_that_the_spool_does_not_drain(redis_url: str, spool: Spool) -> None:
    settings = Settings.model_validate(
        {"redis_url": redis_url, "spool": spool.path, "webhook_secrets": {"GITHUB_WEBHOOK_SECRET": SECRET}}
    )
    app = create_app(settings)
    client = app.test_client()
    thread: SpoolDrain = app.extensions["spool_drain"]
    with nothing_can_be_removed(spool):
        thread.start()
        try:
            wait_until(lambda: "spool_problem" in (client.get("/readyz").json or {}), "it to be said")
        finally:
            thread.stop()
            thread.join()
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert (answer.json or {})["storage"] == "redis"
        assert (answer.json or {})["spooled"] == 3
        assert "disk is full" in (answer.json or {})["spool_problem"]
        assert b"apitraffic_spool_stuck 1.0" in client.get("/metrics").data


def test_a_spool_that_cannot_be_read_does_not_make_a_receiver_unready(redis_url: str, tmp_path: Path) -> None:
    """Its Redis takes what arrives."""
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"this is no database " * 100)
    client = create_app(Settings.model_validate({"redis_url": redis_url, "spool": path})).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert (answer.json or {})["storage"] == "redis"
    assert (answer.json or {})["spooled"] is None
    assert "not a database" in (answer.json or {})["spool_problem"]
