"""The log of deliveries: written beside what it is about, and never in its way."""

from datetime import timedelta

from redis import Redis

from apitraffic_events.timestamps import now
from receiver.datastore.address import connect
from receiver.events import Delivery
from receiver.queue.delivery_log import (
    DELIVERIES,
    LIFETIME,
    MOST_REFUSALS,
    REFUSALS,
    DeliveryLog,
    DeliveryNotes,
    Entry,
)
from receiver.queue.enqueueing import Enqueuer
from tests.support.changes import change


def entries(redis: Redis, stream: str = DELIVERIES) -> list[Entry]:
    return DeliveryLog(redis).after(stream, "")


def test_what_is_queued_is_noted_in_the_same_step_and_a_repeat_too(redis_url: str) -> None:
    with connect(redis_url) as redis:
        one = change("point", delivery="d-1", name="Deploy 'é' 1", metadata={"repository": "acme/shop"})
        enqueuer = Enqueuer(redis)
        assert enqueuer.enqueue([one])
        assert not enqueuer.enqueue([one])
        first, repeat = entries(redis)
        assert (first.status, repeat.status) == ("accepted", "duplicate")
        assert (first.source, first.delivery, first.subject) == ("github", "d-1", "acme/shop")
        assert first.markers == ((one.key, "Deploy 'é' 1"),)
        assert abs(first.at - now()) < timedelta(minutes=1)
        assert 0 < redis.ttl(DELIVERIES) <= LIFETIME.total_seconds()


def test_a_log_that_cannot_be_written_stops_no_delivery(redis_url: str) -> None:
    with connect(redis_url) as redis:
        redis.set(DELIVERIES, "not a stream")
        assert Enqueuer(redis).enqueue([change("point")])


def test_an_entry_of_another_version_hides_no_other(redis_url: str) -> None:
    with connect(redis_url) as redis:
        redis.xadd(DELIVERIES, {"status": "accepted", "entry": '{"of": "tomorrow"}'})
        redis.xadd(DELIVERIES, {"colour": "red"})
        Enqueuer(redis).enqueue([change("point", delivery="d-2")])
        assert [entry.delivery for entry in entries(redis)] == ["d-2"]


class TestNotes:
    def test_refusals_are_kept_apart_and_one_a_second_of_each_kind(self, redis_url: str) -> None:
        moment = 100.0
        with connect(redis_url) as redis:
            notes = DeliveryNotes(redis, clock=lambda: moment)
            for _ in range(3):
                notes.refused("github", "the signature is missing", "192.0.2.1")
            notes.refused("gitlab", "the signature is missing", "192.0.2.1")
            moment = 101.0
            notes.refused("github", "the signature is missing", "192.0.2.2")
            notes.note("ignored", "github", "d-1", "ping", "nothing to do")
            notes.write()
            assert [(entry.source, entry.address) for entry in entries(redis, REFUSALS)] == [
                ("github", "192.0.2.1"),
                ("gitlab", "192.0.2.1"),
                ("github", "192.0.2.2"),
            ]
            (ignored,) = entries(redis)
            assert (ignored.status, ignored.event, ignored.reason) == ("ignored", "ping", "nothing to do")

    def test_the_stream_is_capped(self, redis_url: str) -> None:
        with connect(redis_url) as redis:
            for first in range(0, MOST_REFUSALS + 300, 100):
                notes = DeliveryNotes(redis)
                for number in range(first, first + 100):
                    notes.refused("github", f"reason {number}", "")
                notes.write()
            assert redis.xlen(REFUSALS) <= MOST_REFUSALS + 100

    def test_a_text_from_outside_is_one_short_line(self, redis_url: str) -> None:
        with connect(redis_url) as redis:
            notes = DeliveryNotes(redis)
            notes.note("quarantined", "github", "d\x1b[31m-1", "push\n" * 200, "x")
            notes.write()
            (entry,) = entries(redis)
            assert entry.delivery.isprintable()
            assert len(entry.event) <= 200

    def test_payloads_are_kept_if_wanted_the_latest_only_and_no_large_ones(self, redis_url: str) -> None:
        def delivery(name: str, body: bytes = b"{}") -> Delivery:
            return Delivery("github", name, "push", {"x-github-event": "push"}, body, now())

        with connect(redis_url) as redis:
            DeliveryNotes(redis).keep_payload(delivery("d-0"))
            notes = DeliveryNotes(redis, payloads=2)
            bodies = {"d-1": b"{}", "d-2": b'{"a": "\xc3\xa9"}', "d-3": b"\xff\x00", "large": b" " * 100_000}
            for name, body in bodies.items():
                notes.keep_payload(delivery(name, body))
            notes.write()
            log = DeliveryLog(redis)
            found = {name: log.payload("github", name) for name in ("d-0", *bodies)}
            kept = {name: one.body for name, one in found.items() if one is not None}
            assert kept == {"d-2": bodies["d-2"], "d-3": bodies["d-3"]}
            assert log.payload("gitlab", "d-3") is None
