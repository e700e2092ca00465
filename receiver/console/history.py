"""What the receiver knows of the marker that an event shows: the changes that formed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events import StoredEvent
from receiver.datastore.failures import explain
from receiver.delivery.marker_store import MarkerStore
from receiver.events import Change


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
    problem: str | None = None


class History:
    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis

    def of(self, event: StoredEvent) -> Past:
        """Never raises."""
        key = event.metadata.get("marker_key")
        if not isinstance(key, str) or not key:
            return Past()
        if self._redis is None:
            return Past(key, problem="REDIS_URL is not set, so its history is not known here.")
        try:
            changes = MarkerStore(self._redis, "console").changes_of(key)
        except RedisError as error:
            return Past(key, problem=f"Redis: {explain(error)}")
        except ValidationError:
            return Past(key, problem="Another version of the receiver has stored it in another form.")
        return Past(key, [_step(change) for change in sorted(changes, key=lambda one: one.occurred_at)])


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
