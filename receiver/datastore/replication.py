"""Writing what must outlive a fail-over: replication is asynchronous, so ask until a replica has it."""

from collections.abc import Callable
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline

from receiver.datastore.address import ReplicatedPool

CONFIRMED_WITHIN: Final = 1_000
"""Milliseconds; a replica that is there takes about one."""
READY: Final = "apitraffic:ready"


class Unreplicated(Exception):
    """The master has it, but too few replicas say that they do: a fail-over now might lose it."""

    def __init__(self, confirmed: int, wanted: int) -> None:
        super().__init__(f"Redis: {confirmed} of {wanted} replicas confirmed within {CONFIRMED_WITHIN} ms")


def replicas_of(redis: Redis) -> int:
    """How many have to confirm: as the URL of a Sentinel says, and none elsewhere."""
    pool = redis.connection_pool
    return pool.replicas if isinstance(pool, ReplicatedPool) else 0


def write_replicated(redis: Redis, write: Callable[[Pipeline], object]) -> list[Any]:
    """Send the commands that `write` queues, and say what was answered once enough replicas have them.

    All in one go on one connection, also when it is tried again: on another one, or with nothing written,
    WAIT would speak of another master or of nothing. Raises `Unreplicated` or `RedisError`; writing the same
    again must then do no harm. https://redis.io/docs/latest/commands/wait/
    """
    wanted = replicas_of(redis)
    with redis.pipeline(transaction=False) as pipeline:
        write(pipeline)
        if wanted:
            pipeline.set(READY, 1, ex=60)
            pipeline.execute_command("WAIT", wanted, CONFIRMED_WITHIN)  # type: ignore[no-untyped-call]
        answers = pipeline.execute()
    if wanted:
        *answers, _, confirmed = answers
        if int(confirmed) < wanted:
            raise Unreplicated(int(confirmed), wanted)
    return list(answers)
