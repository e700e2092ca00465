"""How many changes the workers have delivered of late.

Redis keys: `apitraffic:delivered:<minute>`, counted from 1970, for two hours.
"""

from contextlib import suppress
from datetime import datetime
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from receiver.timestamps import now

PREFIX: Final = "apitraffic:delivered:"
LIFETIME: Final = 2 * 3600
MINUTES: Final = 60


def count_delivered(redis: Redis) -> None:
    """One more. A figure that nobody may have is not worth a delivery that fails."""
    with suppress(RedisError), redis.pipeline(transaction=False) as pipeline:
        key = f"{PREFIX}{_minute(now())}"
        pipeline.incr(key)
        pipeline.expire(key, LIFETIME)
        pipeline.execute()


def delivered_in_last_hour(redis: Redis) -> int:
    this = _minute(now())
    counts = redis.mget([f"{PREFIX}{minute}" for minute in range(this - MINUTES + 1, this + 1)])
    return sum(int(count) for count in counts if count)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60
