"""How often a worker reads and writes JSON, and cleans text, from a job to the request to the API."""

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from redis import Redis

from apitraffic_events.client import EventsClient
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.queue.enqueueing import Enqueuer
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import change
from tests.support.local_api import running_local_api

NAME = "Deploy acme/shop v2.3.1 to production"
"""Each document that holds the change has it."""


CLEANING: Final = frozenset({"one_line", "paragraphs", "is_clean_line"})


class Count:
    """Counts what this thread reads and writes as JSON, by pydantic or by Python's own module, and cleans."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def start(self) -> None:
        sys.setprofile(self._saw)

    def stop(self) -> None:
        sys.setprofile(None)

    def _saw(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ in {"validate_json", "from_json"}:
            self.times["read"] += 1
        elif event == "c_call" and argument.__name__ == "to_json":
            self.times["written"] += 1
        elif (
            event == "call"
            and frame.f_globals.get("__name__") == "apitraffic_events.text"
            and frame.f_code.co_name in CLEANING
        ):
            self.times["cleaned"] += 1
        elif event == "call" and frame.f_globals.get("__name__") == "json":
            document = str(next(iter(frame.f_locals.values()), ""))
            if frame.f_code.co_name == "loads" and NAME in document:
                self.times["read"] += 1
            elif frame.f_code.co_name == "dumps" and NAME in document:
                self.times["written"] += 1


class CountedClient(EventsClient):
    """Ends the count when it is asked for the first request."""

    count: Count

    def create_event(self, event: Event, **options: Any) -> StoredEvent:
        self.count.stop()
        return super().create_event(event, **options)

    def update_event(self, sid: str, update: EventUpdate, **options: Any) -> StoredEvent:
        self.count.stop()
        return super().update_event(sid, update, **options)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[CountedClient]:
    with (
        running_local_api(tmp_path) as api,
        CountedClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    sys.setprofile(None)


def counted(redis: Redis, client: CountedClient) -> Counter[str]:
    """Of a worker that delivers what is queued."""
    client.count = Count()
    worker = DeliveryWorker(redis, RequestBudget(redis))
    deliverer = Deliverer(client, worker.markers, RequestBudget(redis), settle=timedelta(seconds=30))
    worker.run_job = DeliveryAttempts(deliverer).make
    client.count.start()
    worker.work(burst=True, logging_level="CRITICAL")
    client.count.stop()
    return client.count.times


def test_a_change_is_read_once_and_written_once(redis: Redis, client: CountedClient) -> None:
    """Read from its job, and written to its marker. Its text was made safe before it was queued."""
    assert Enqueuer(redis).enqueue([change("open", name=NAME)])
    assert counted(redis, client) == {"read": 1, "written": 1}
    assert [event.name for event in client.iter_events()] == [NAME]


def test_so_is_each_part_of_a_marker_that_is_known(redis: Redis, client: CountedClient) -> None:
    """The changes and the event that was sent are two documents."""
    assert Enqueuer(redis).enqueue([change("open", name=NAME)])
    counted(redis, client)
    assert Enqueuer(redis).enqueue([change("close", 5, name=NAME)])
    assert counted(redis, client) == {"read": 3, "written": 2}
    (event,) = client.iter_events()
    assert event.ended_at is not None
