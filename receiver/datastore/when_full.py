"""Write to a Redis whose memory is full, for those who take work out of it.

At `maxmemory` with `noeviction`, Redis refuses all commands that may need memory, and everything in a
MULTI. A worker could not even register, so a queue that has filled the memory would never get shorter. But
Redis runs a script to its end once the script has written something, and its first write may be a DEL.
https://redis.io/docs/latest/develop/programmability/eval-intro/

The scripts that workers run begin with that DEL (`functions/run_when_full.lua`). The client here does the
same for single commands and for transactions, most of which are RQ's. What comes in is not written like this:
it goes to the spool then. So `maxmemory` is only exceeded by what it takes to deliver what is queued already.
"""

from collections.abc import Sequence
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ExecAbortError, OutOfMemoryError

from receiver.datastore.address import connect
from receiver.datastore.scripts.runner import Script

RUN_COMMANDS: Final = Script("run_commands")
OF_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})

Command = tuple[tuple[Any, ...], dict[str, Any]]
"""The words of a command, and redis-py's options for reading its reply."""


class DrainingRedis(Redis):
    """A client whose commands and transactions Redis also runs when its memory is full."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # no types there
        except OutOfMemoryError:
            if args[0] in OF_SCRIPTS:
                raise
        (reply,) = _run(Redis.from_pool(self.connection_pool), [(args, options)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return DrainingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class DrainingPipeline(Pipeline):
    """A transaction is run in one atomic step too if the memory is full, unless keys are watched for it."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands: list[Command] = list(self.command_stack)
        is_plain_transaction = vars(self)["transaction"] and not self.watching
        try:
            return super().execute(raise_on_error)
        except (OutOfMemoryError, ExecAbortError) as error:
            if not is_plain_transaction or not _is_for_want_of_memory(error):
                raise
        replies = _run(Redis.from_pool(self.connection_pool), commands)
        failed = [reply for reply in replies if isinstance(reply, Exception)]
        if failed and raise_on_error:
            raise failed[0]
        return replies


def _is_for_want_of_memory(error: OutOfMemoryError | ExecAbortError) -> bool:
    """A transaction is aborted at its end if its own commands, which wait there, have filled the memory."""
    return isinstance(error, OutOfMemoryError) or "OOM" in str(error)


def connect_to_drain(url: str | None) -> DrainingRedis:
    """As `connect`."""
    redis = DrainingRedis(connection_pool=connect(url).connection_pool)
    redis.auto_close_connection_pool = True  # Like that of `connect`, it closes its connections.
    return redis


def _run(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Run the commands in one step; returns what redis-py returns for each, or its error."""
    redis.auto_close_connection_pool = False
    words: list[Any] = [redis.connection_pool.connection_kwargs.get("protocol") or 3]
    for args, _ in commands:
        words += [len(args), *args]
    replies = []
    for (args, options), reply in zip(commands, RUN_COMMANDS.run(redis, args=words), strict=True):
        read = None if isinstance(reply, Exception) else redis.response_callbacks.get(args[0])  # type: ignore[no-untyped-call]  # no types there
        options.pop("keys", None)  # Only for redis-py's cache.
        found = None if reply is False else reply  # A script cannot return nil among others.
        replies.append(found if read is None else read(found, **options))
    return replies
