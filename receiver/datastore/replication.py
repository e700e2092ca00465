"""Writing what must survive a fail-over. Replication is asynchronous, so wait until replicas confirm."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError

from receiver.datastore.address import ReplicatedPool
from receiver.datastore.failures import redis_required
from receiver.datastore.scripts.runner import Script
from receiver.errors import StorageUnavailable

CONFIRMED_WITHIN: Final = 1_000
"""Milliseconds; a replica that is up takes about one."""
READY: Final = "apitraffic:ready"
TOUCH: Final = Script("touch")
"""A write that Redis does not refuse if its memory is full, see `receiver.datastore.when_full`."""


class Unreplicated(Exception):
    """The master has the data, but too few replicas have confirmed it: a fail-over now might lose it."""

    def __init__(self, confirmed: int, wanted: int) -> None:
        super().__init__(f"Redis: {confirmed} of {wanted} replicas confirmed within {CONFIRMED_WITHIN} ms")


def replicas_of(redis: Redis) -> int:
    """How many replicas have to confirm: what the URL of a Sentinel says, and none otherwise."""
    pool = redis.connection_pool
    return pool.replicas if isinstance(pool, ReplicatedPool) else 0


def write_replicated(redis: Redis, write: Callable[[Pipeline], object]) -> list[Any]:
    """Send the commands that `write` queues, and return their replies once enough replicas have confirmed.

    Commands and WAIT are one pipeline on one connection, also in a retry: on another connection, WAIT would
    be about another master, or about nothing. Raises `Unreplicated` or `RedisError`; it must be safe to write
    the same again afterwards. https://redis.io/docs/latest/commands/wait/
    """
    wanted = replicas_of(redis)
    with redis.pipeline(transaction=False) as pipeline:
        write(pipeline)
        if wanted:
            pipeline.eval(TOUCH.text, 1, READY)
            pipeline.execute_command("WAIT", wanted, CONFIRMED_WITHIN)  # type: ignore[no-untyped-call]
        answers = pipeline.execute()
    if wanted:
        *answers, _, confirmed = answers
        if int(confirmed) < wanted:
            raise Unreplicated(int(confirmed), wanted)
    return list(answers)


@contextmanager
def replication_required() -> Iterator[None]:
    """As `redis_required`, also if too few replicas confirm what this block writes."""
    with redis_required():
        try:
            yield
        except Unreplicated as error:
            raise StorageUnavailable(str(error)) from error


def run_replicated(
    redis: Redis, script: Script, keys: Sequence[str] = (), args: Sequence[str | bytes | float] = ()
) -> Any:
    """Run the script, and wait for the replicas if there are any; see `write_replicated`."""
    if not replicas_of(redis):
        return script.run(redis, keys, args)
    try:
        (reply,) = write_replicated(
            redis, lambda pipeline: pipeline.evalsha(script.digest, len(keys), *keys, *args)
        )
    except NoScriptError:
        (reply,) = write_replicated(
            redis, lambda pipeline: pipeline.eval(script.text, len(keys), *keys, *args)
        )
    return reply
