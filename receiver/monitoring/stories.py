"""What became of one delivery, marker or event, as far as Redis knows. Nothing is written.

A delivery that made changes is remembered for 14 days, one in the quarantine as long, a marker for 180 days
after its last change, and the job of a change until it has been delivered.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events.timestamps import now
from receiver.datastore.failures import explain
from receiver.datastore.keys import ALIAS_PREFIX, CLAIM_PREFIX, MARKER_PREFIX
from receiver.datastore.replies import as_text
from receiver.delivery.marker_store import FIELDS, MOST_MERGES, marker_of
from receiver.delivery.markers import Marker
from receiver.errors import StorageUnavailable
from receiver.queue.dead_letters import DeadLetter, DeadLetters
from receiver.queue.enqueueing import SEEN_LIFETIME, SEEN_PREFIX
from receiver.queue.inspection import JobState, states_of
from receiver.queue.queues import delivery_queues, job_id_stem
from receiver.reception.quarantine import Quarantine, Quarantined

MOST_JOBS: Final = 100
"""Changes of one delivery that are looked for."""
BATCH: Final = 500
MOST_MARKERS: Final = 200_000
"""Markers that are looked through for a delivery or a SID."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change that has not been delivered; `letter` says why, if it is a dead letter."""

    state: JobState
    letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """A delivery that was accepted, or is in the quarantine."""

    source: str
    id: str
    accepted_at: datetime | None = None
    pending: Sequence[PendingChange] = ()
    quarantined: Quarantined | None = None


class Archive:
    """Looks things up. Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, redis: Redis, clock: Callable[[], datetime] = now) -> None:
        self._redis = redis
        self._clock = clock

    def deliveries(self, name: str, sources: Iterable[str]) -> list[DeliveryStory]:
        """Those with this id, or `<source>:<id>`. Two senders may have used one id."""
        source, _, rest = name.partition(":")
        known = list(sources)
        wanted = [(each, name) for each in known] + ([(source, rest)] if source in known and rest else [])
        found = (self._delivery(*each) for each in wanted)
        return [story for story in found if story is not None]

    def _delivery(self, source: str, delivery_id: str) -> DeliveryStory | None:
        quarantined = Quarantine(self._redis).find(f"{source}:{delivery_id}")
        try:
            left = int(self._redis.ttl(f"{SEEN_PREFIX}{source}:{delivery_id}"))
        except RedisError as error:
            raise _unavailable(error) from error
        if left < 0 and quarantined is None:
            return None
        accepted_at = self._clock() - timedelta(seconds=SEEN_LIFETIME - left) if left >= 0 else None
        return DeliveryStory(
            source, delivery_id, accepted_at, self._pending(source, delivery_id), quarantined
        )

    def _pending(self, source: str, delivery_id: str) -> list[PendingChange]:
        stem = job_id_stem(source, delivery_id)
        states = states_of(self._redis, [f"{stem}-{number}" for number in range(MOST_JOBS)])
        letters = DeadLetters(delivery_queues(self._redis))
        return [
            PendingChange(state, letters.find(name) if state is JobState.DEAD else None)
            for name, state in states.items()
            if state is not JobState.GONE
        ]

    def marker(self, name: str) -> Marker | None:
        """The marker that has this key, or had it before it was merged, or has claimed it."""
        try:
            for _ in range(MOST_MERGES):
                if self._redis.exists(f"{MARKER_PREFIX}{name}"):
                    return self._read(name)
                after = self._redis.mget(f"{ALIAS_PREFIX}{name}", f"{CLAIM_PREFIX}{name}")
                target = next((as_text(each) for each in after if each), None)
                if target is None:
                    return None
                name = target
        except RedisError as error:
            raise _unavailable(error) from error
        return None

    def marker_of_delivery(self, story: DeliveryStory) -> Marker | None:
        """The first one that has a change of this delivery."""

        def fits(marker: Marker) -> bool:
            return any(
                (change.delivery.source, change.delivery.id) == (story.source, story.id)
                for change in marker.changes
            )

        return self._search("changes", story.id.encode(), fits)

    def marker_of_event(self, sid: str) -> Marker | None:
        return self._search("sid", sid.encode(), lambda marker: marker.sid == sid)

    def _search(self, field: str, text: bytes, fits: Callable[[Marker], bool]) -> Marker | None:
        """Markers have no index, so all are looked through; only those that hold the text are parsed."""
        try:
            looked_at, cursor = 0, 0
            while looked_at < MOST_MARKERS:
                reply: Any = self._redis.scan(cursor, match=f"{MARKER_PREFIX}*", count=BATCH)
                cursor, keys = reply
                with self._redis.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.hget(key, field)
                    values = pipeline.execute()
                for key, value in zip(keys, values, strict=True):
                    if isinstance(value, bytes) and text in value:
                        marker = self._read(as_text(key).removeprefix(MARKER_PREFIX))
                        if marker is not None and fits(marker):
                            return marker
                looked_at += BATCH
                if not cursor:
                    break
        except RedisError as error:
            raise _unavailable(error) from error
        return None

    def _read(self, key: str) -> Marker | None:
        fields: Any = self._redis.hmget(f"{MARKER_PREFIX}{key}", FIELDS)
        return marker_of(key, fields)


def _unavailable(error: RedisError) -> StorageUnavailable:
    return StorageUnavailable(f"Redis: {explain(error)}")
