"""What is kept of deliveries that could not be translated, with a real Redis."""

import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from receiver.datastore.address import connect
from receiver.events import Delivery
from receiver.reception import quarantine as module
from receiver.reception.quarantine import LIFETIME, Quarantine

NOON = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


def delivery(
    identifier: str, minute: int = 0, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> Delivery:
    return Delivery(
        source="github",
        id=identifier,
        event="deployment_status",
        headers=headers or {},
        body=body,
        received_at=NOON + timedelta(minutes=minute),
    )


def test_a_delivery_is_kept_as_it_came_but_for_its_credentials(redis: Redis) -> None:
    body = b'{"\xff not even text'
    headers = {"x-hub-signature-256": "sha256=1", "authorization": "Bearer x", "x-github-event": "e"}
    kept = delivery("d-1", body=body, headers=headers)
    Quarantine(redis).keep(kept, "the body is not JSON")
    (found,) = Quarantine(redis)
    assert found.reason == "the body is not JSON"
    assert found.delivery == replace(kept, headers={"x-github-event": "e"})
    assert found.name == "github:d-1"
    assert Quarantine(redis).find("github:d-1") == found
    assert Quarantine(redis).find("github:d-2") is None


def test_a_delivery_is_kept_as_the_version_before_kept_it(redis: Redis) -> None:
    fields = {
        "source": b"github",
        "id": b"d-1",
        "event": b"deployment_status",
        "reason": b"the body is not JSON",
        "received_at": b"2026-01-10T12:00:00.000Z",
        "headers": b'{"x-github-event": "e"}',
        "body": zlib.compress(b"{"),
    }
    kept = delivery("d-1", body=b"{", headers={"x-github-event": "e"})
    Quarantine(redis).keep(kept, "the body is not JSON")
    entry = "apitraffic:quarantine:github:d-1"
    assert redis.hgetall(entry) == {name.encode(): value for name, value in fields.items()}
    for name, value in fields.items():
        redis.hset(entry, name, value)
    assert [item.delivery for item in Quarantine(redis)] == [kept]


def test_they_are_listed_oldest_first_and_each_once(redis: Redis) -> None:
    for identifier, minute in (("b", 2), ("a", 1), ("b", 3)):
        Quarantine(redis).keep(delivery(identifier, minute), f"at {minute}")
    assert [(item.delivery.id, item.reason) for item in Quarantine(redis)] == [("a", "at 1"), ("b", "at 3")]


def test_a_discarded_one_is_gone(redis: Redis) -> None:
    Quarantine(redis).keep(delivery("a"), "why")
    Quarantine(redis).discard("github:a")
    assert list(Quarantine(redis)) == []
    assert redis.keys("*") == []


def test_every_key_has_a_lifetime(redis: Redis) -> None:
    Quarantine(redis).keep(delivery("a"), "why")
    assert {0 < redis.ttl(key) <= LIFETIME for key in redis.keys("*")} == {True}


def test_after_its_lifetime_it_is_no_longer_listed(redis: Redis) -> None:
    Quarantine(redis).keep(delivery("old"), "why")
    Quarantine(redis).keep(delivery("new", minute=LIFETIME // 60 + 1), "why")
    assert [item.delivery.id for item in Quarantine(redis)] == ["new"]


def test_the_oldest_go_when_there_are_too_many(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    dropped = [Quarantine(redis).keep(delivery(str(number), number), "why") for number in range(5)]
    assert dropped == [0, 0, 0, 1, 1]
    assert [item.delivery.id for item in Quarantine(redis)] == ["2", "3", "4"]


def test_the_oldest_go_when_they_are_too_large(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2_500)
    incompressible = b"".join(number.to_bytes(4, "big") for number in range(0, 2**32, 2**32 // 300))[:1_000]
    for number in range(4):
        Quarantine(redis).keep(delivery(str(number), number, body=incompressible), "why")
    assert [item.delivery.id for item in Quarantine(redis)] == ["2", "3"]
