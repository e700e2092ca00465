"""Markers that are to be looked at again, because of what happened around them since."""

from datetime import timedelta
from typing import Final

from redis import Redis

from apitraffic_events.event import Event, EventType
from apitraffic_events.timestamps import format_timestamp, now
from receiver.datastore.keys import keys_of
from receiver.delivery.deliverer import SECOND_LOOK
from receiver.events import Change, DeliveryReference, Effect
from receiver.worker.due_markers import DueMarkers

CLAIM_LIFETIME: Final = 5
"""Seconds. Something else may have happened around the marker by then."""
GIVEN_UP_AFTER: Final = timedelta(days=4)
"""Longer than an attempt is made again and again. What cannot be said of a marker by then is left unsaid."""


def second_looks(redis: Redis, account: str | None = None) -> DueMarkers:
    """Queues a second look at each marker for which one is due."""
    keys = keys_of(account)

    def look_at(key: str) -> Change | None:
        planned = redis.zscore(keys.second_looks, key)
        moment = now()
        if planned is None or planned < (moment - GIVEN_UP_AFTER).timestamp():
            return None
        return Change(
            key=key,
            effect=Effect.UPDATE,
            occurred_at=moment,
            event=Event(type=EventType.CUSTOM, name="Second look"),
            sets=(),
            delivery=DeliveryReference(source=SECOND_LOOK, id=format_timestamp(moment), event="second look"),
        )

    return DueMarkers(
        redis,
        account,
        keys.second_looks,
        "second-look",
        look_at,
        is_urgent=False,
        claim_lifetime=CLAIM_LIFETIME,
    )
