"""What the receiver knows of the marker that an event shows: the changes that formed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events import StoredEvent
from receiver.console.recent_deliveries import RecentDeliveries
from receiver.datastore.failures import explain
from receiver.delivery.marker_store import MarkerStore
from receiver.errors import StorageUnavailable
from receiver.events import Change
from receiver.insight.annotation import Insight
from receiver.queue.delivery_log import Entry


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the marker."""

    at: datetime
    effect: str
    name: str
    source: str
    event: str
    delivery: str
    remark: str


@dataclass(frozen=True, slots=True)
class Past:
    """`problem` says why nothing can be said. Without steps and problem, no delivery formed the event."""

    key: str = ""
    steps: Sequence[Step] = ()
    deliveries: Sequence[Entry] = ()
    """Those of the last days, also repeated ones and those whose change the marker no longer keeps."""
    insight: Insight | None = None
    """What the receiver remembers of others that have to do with it."""
    problem: str | None = None


class History:
    def __init__(self, redis: Redis | None, recent: RecentDeliveries) -> None:
        self._redis = redis
        self._recent = recent

    def of(self, event: StoredEvent) -> Past:
        """Never raises."""
        key = event.metadata.get("marker_key")
        if not isinstance(key, str) or not key:
            return Past()
        if self._redis is None:
            return Past(key, problem="REDIS_URL is not set, so its history is not known here.")
        try:
            marker = MarkerStore(self._redis, "console").named(key)
            changes = marker.changes
            keys = frozenset({key, *(change.key for change in changes)})
            deliveries = self._recent.of_markers(keys)
        except (RedisError, StorageUnavailable) as error:
            words = f"Redis: {explain(error)}" if isinstance(error, RedisError) else str(error)
            return Past(key, problem=words)
        except ValidationError:
            return Past(key, problem="Another version of the receiver has stored it in another form.")
        steps = [_step(change) for change in sorted(changes, key=lambda one: one.occurred_at)]
        return Past(key, steps, deliveries, marker.insight)


def _step(change: Change) -> Step:
    reference = change.delivery
    return Step(
        at=change.occurred_at,
        effect=change.effect.value,
        name=change.event.name,
        source=reference.source,
        event=reference.event,
        delivery=reference.id,
        remark=change.remark or "",
    )
