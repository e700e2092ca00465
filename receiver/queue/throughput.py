"""How many changes the workers have delivered in the last hour.

Redis keys: `apitraffic:delivered:<minutes since 1970>`, for two hours.
"""

from datetime import datetime
from typing import Final

from redis import Redis

from apitraffic_events.timestamps import now

PREFIX: Final = "apitraffic:delivered:"
LIFETIME: Final = 2 * 3600
MINUTES: Final = 60


def key_of_this_minute() -> str:
    """The key of this minute's count, which expires after `LIFETIME` seconds."""
    return f"{PREFIX}{_minute(now())}"


def delivered_in_last_hour(redis: Redis) -> int:
    this = _minute(now())
    counts = redis.mget([f"{PREFIX}{minute}" for minute in range(this - MINUTES + 1, this + 1)])
    return sum(int(count) for count in counts if count)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60
