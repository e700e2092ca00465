"""Jobs as version 0.1.0 has stored them are delivered, and its workers can read those that are queued now.

The fixture has the hashes that 0.1.0 wrote: a short job, a long one, which it compressed, and one that RQ has
stored again after an attempt that failed.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ServerFailed
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.events import Change
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from receiver.worker.attempts import ATTEMPTS, DeliveryAttempts
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import change
from tests.support.local_api import running_local_api

JOBS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures/jobs/queued_by_0.1.0.json").read_text(encoding="utf-8")
)
OF_THE_MOMENT = {"created_at", "enqueued_at"}


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EventsClient]:
    with (
        running_local_api(tmp_path) as api,
        EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client,
    ):
        yield client


def fields_of(name: str) -> dict[str, bytes]:
    return {
        field: base64.b64decode(value["base64"]) if "base64" in value else value["text"].encode()
        for field, value in JOBS[name]["fields"].items()
    }


def call_of(fields: Mapping[str, bytes]) -> list[Any]:
    data = fields["data"]
    call: list[Any] = json.loads(data if data.startswith(b"[") else zlib.decompress(data))
    return call


def queue_as_it_was(redis: Redis, name: str) -> str:
    job_id: str = JOBS[name]["id"]
    redis.hset(Job.key_for(job_id), mapping=fields_of(name))  # type: ignore[arg-type]
    redis.rpush(delivery_queue(redis).key, job_id)
    return job_id


def worker_with(redis: Redis, deliver: Any) -> DeliveryWorker:
    worker = DeliveryWorker(redis, RequestBudget(redis))
    worker.run_job = DeliveryAttempts(deliver(worker)).make
    return worker


@pytest.mark.parametrize("name", JOBS)
def test_it_is_delivered(redis: Redis, client: EventsClient, name: str) -> None:
    job_id = queue_as_it_was(redis, name)
    _, _, (stored,), _ = call_of(fields_of(name))
    worker = worker_with(
        redis,
        lambda worker: Deliverer(client, worker.markers, RequestBudget(redis), settle=timedelta(seconds=30)),
    )
    worker.work(burst=True, logging_level="CRITICAL")
    (event,) = client.iter_events()
    assert event.name == stored["event"]["name"]
    assert event.metadata == stored["event"]["metadata"]
    assert not redis.exists(Job.key_for(job_id))


def test_attempts_that_the_earlier_version_made_count(redis: Redis) -> None:
    class Failing:
        def deliver(self, change: Change) -> None:
            raise ServerFailed("HTTP 503", status=503)

    job_id = queue_as_it_was(redis, "tried")
    worker_with(redis, lambda _: Failing()).work(burst=True, logging_level="CRITICAL")
    assert Job.fetch(job_id, redis, JSONSerializer).meta[ATTEMPTS] == 2


@pytest.mark.parametrize("name", ["short", "long"])
def test_what_is_queued_now_is_what_the_earlier_version_queued(redis: Redis, name: str) -> None:
    """So that its workers can read it, after a rollback."""
    fields = fields_of(name)
    _, _, (stored,), _ = call_of(fields)
    assert Enqueuer(redis).enqueue([Change.model_validate(stored)])
    hash_now: Any = redis.hgetall(Job.key_for(JOBS[name]["id"]))
    now_stored: dict[str, bytes] = {key.decode(): value for key, value in hash_now.items()}
    assert call_of(now_stored) == call_of(fields)
    assert now_stored["data"].startswith(b"[") == fields["data"].startswith(b"[")
    assert json.loads(now_stored["names"]) == json.loads(fields["names"])
    for different in OF_THE_MOMENT | {"data", "names"}:
        del fields[different], now_stored[different]
    assert now_stored == fields


def test_a_plain_rq_worker_fails_the_job_and_says_which_one_to_start(redis: Redis) -> None:
    assert Enqueuer(redis).enqueue([change("point")])
    queue = delivery_queue(redis)
    (job_id,) = queue.job_ids
    errors: list[str] = []

    def note(_: Job, _kind: object, error: Exception, _traceback: object) -> None:
        errors.append(str(error))

    plain = SimpleWorker([queue], connection=redis, serializer=JSONSerializer, exception_handlers=[note])
    plain.work(burst=True, logging_level="CRITICAL")
    assert errors == ["this job is not for a plain `rq worker`; start `apitraffic-events worker`"]
    assert job_id in queue.scheduled_job_registry.get_job_ids(cleanup=False)
