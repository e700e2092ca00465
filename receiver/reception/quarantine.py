"""Deliveries that are authentic but could not be translated, kept as received until an operator decides.

Redis keys: `apitraffic:quarantine:<source>:<delivery id>`, for 14 days; `apitraffic:quarantine`, their index
by time; `apitraffic:quarantine:sizes`, their sizes. Their total is bounded: the oldest are dropped first.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from redis import Redis
from structlog import get_logger

from apitraffic_events.timestamps import format_timestamp, now, parse_timestamp
from receiver.datastore.failures import redis_required
from receiver.datastore.replication import replication_required, run_replicated
from receiver.datastore.scripts.runner import Script
from receiver.events import Delivery

INDEX: Final = "apitraffic:quarantine"
SIZES: Final = "apitraffic:quarantine:sizes"
LIFETIME: Final = 14 * 86_400
"""Seconds."""
MOST_KEPT: Final = 1_000
"""Deliveries."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all kept deliveries together, compressed."""
CREDENTIAL_WORDS: Final = ("authorization", "cookie", "signature", "token", "secret", "api-key")
FIELDS: Final = ("source", "id", "event", "reason", "received_at", "headers", "body")

KEEP_IN_QUARANTINE: Final = Script("keep_in_quarantine")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A delivery in the quarantine, and why. Headers that carried credentials are removed."""

    delivery: Delivery
    reason: str

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"{self.delivery.source}:{self.delivery.id}"

    @classmethod
    def of(cls, delivery: Delivery, reason: str) -> Self:
        headers = {name: value for name, value in delivery.headers.items() if not _is_credential(name)}
        return cls(replace(delivery, headers=headers), reason)

    @classmethod
    def from_fields(cls, fields: Mapping[str, bytes]) -> Self:
        delivery = Delivery(
            source=fields["source"].decode(),
            id=fields["id"].decode(),
            event=fields["event"].decode(),
            headers=json.loads(fields["headers"]),
            body=zlib.decompress(fields["body"]),
            received_at=_moment(fields["received_at"].decode()),
        )
        return cls(delivery, fields["reason"].decode())


class Quarantine:
    """Keeps what could not be translated. Every method raises `StorageUnavailable` if Redis fails."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def keep(self, delivery: Delivery, reason: str) -> int:
        """Store the delivery, without credentials; returns how many older ones were dropped."""
        delivery = Quarantined.of(delivery, reason).delivery
        body = zlib.compress(delivery.body)
        fields: dict[str, str | bytes] = {
            "source": delivery.source,
            "id": delivery.id,
            "event": delivery.event,
            "reason": reason,
            "received_at": format_timestamp(delivery.received_at),
            "headers": json.dumps(delivery.headers),
            "body": body,
        }
        arguments: list[str | bytes | float] = [LIFETIME, MOST_KEPT, MOST_BYTES]
        arguments += [delivery.received_at.timestamp(), len(body)]
        for name in FIELDS:
            arguments += [name, fields[name]]
        with replication_required():
            entry = f"{INDEX}:{delivery.source}:{delivery.id}"
            dropped = int(run_replicated(self._redis, KEEP_IN_QUARANTINE, [INDEX, SIZES, entry], arguments))
        if dropped:
            get_logger("receiver.quarantine").warning("quarantine is full; the oldest went", dropped=dropped)
        return dropped

    def count(self) -> int:
        with redis_required():
            return int(self._redis.zcount(INDEX, now().timestamp() - LIFETIME, "+inf"))

    def __iter__(self) -> Iterator[Quarantined]:
        """All kept deliveries, the oldest first."""
        with redis_required():
            entries = [_text(entry) for entry in self._redis.zrange(INDEX, 0, -1)]
            for entry in entries:
                found = self._load(entry)
                if found is not None:
                    yield found

    def find(self, name: str) -> Quarantined | None:
        with redis_required():
            return self._load(f"{INDEX}:{name}")

    def _load(self, entry: str) -> Quarantined | None:
        values = self._redis.hmget(entry, FIELDS)
        fields = {name: value for name, value in zip(FIELDS, values, strict=True) if isinstance(value, bytes)}
        return Quarantined.from_fields(fields) if len(fields) == len(FIELDS) else None

    def discard(self, name: str) -> None:
        entry = f"{INDEX}:{name}"
        # Not in a transaction, which a Redis whose memory is full would refuse.
        with redis_required(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.delete(entry)
            pipeline.zrem(INDEX, entry)
            pipeline.hdel(SIZES, entry)
            pipeline.execute()


def _is_credential(header: str) -> bool:
    return any(word in header for word in CREDENTIAL_WORDS)


def _moment(written: str) -> datetime:
    moment = parse_timestamp(written)
    if moment is None:
        raise ValueError(f"a delivery in the quarantine was received at {written!r}, which is not a time")
    return moment


def _text(member: object) -> str:
    return member.decode() if isinstance(member, bytes) else str(member)
