"""The rights that an ACL user of Redis needs. They are checked at start, so that none is missed later.

docs/deployment.md has the same list as a rule to copy.
"""

from typing import Final

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from apitraffic_events.errors import ConfigurationError
from receiver.datastore.failures import WHOLE_RULE
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script

KEY: Final = "apitraffic:rights"
"""Stands for all our keys; nothing is ever stored there."""
CHANNEL: Final = "apitraffic:rq:pubsub:rights"

NEEDED: Final = (
    "blpop KEY 1",
    "client info",
    "client setname rights",
    "del KEY",
    "evalsha sha 0",
    "exec",
    "exists KEY",
    "expire KEY 1",
    "expireat KEY 1",
    "get KEY",
    "hdel KEY field",
    "hexists KEY field",
    "hget KEY field",
    "hgetall KEY",
    "hincrby KEY field 1",
    "hincrbyfloat KEY field 1",
    "hmget KEY field",
    "hset KEY field value",
    "hvals KEY",
    "incrby KEY 1",
    "lindex KEY 0",
    "llen KEY",
    "lpop KEY",
    "lpush KEY value",
    "lrange KEY 0 1",
    "lrem KEY 1 value",
    "ltrim KEY 0 1",
    "mget KEY",
    "multi",
    "persist KEY",
    "ping",
    "rpush KEY value",
    "sadd KEY value",
    "set KEY value",
    "smembers KEY",
    "srem KEY value",
    "subscribe CHANNEL",
    "unsubscribe CHANNEL",
    "unwatch",
    "watch KEY",
    "xadd KEY * field value",
    "xrevrange KEY + -",
    "zadd KEY 1 value",
    "zcard KEY",
    "zcount KEY 0 1",
    "zincrby KEY 1 value",
    "zrange KEY 0 1",
    "zrangebyscore KEY 0 1",
    "zrem KEY value",
    "zremrangebyscore KEY 0 1",
    "zscore KEY value",
)
"""Commands that receivers, workers and the command line send, each with typical arguments."""
SUBCOMMANDS_OF: Final = frozenset({"client"})

MISSING_RIGHTS: Final = Script("missing_rights")


class RightsMissing(ConfigurationError):
    """The user in REDIS_URL may not do everything that is needed."""


def missing_rights(redis: Redis) -> tuple[str, ...]:
    """As an ACL rule names them: `+lpop`, `~apitraffic:*`; raises `RedisError` if Redis cannot be asked."""
    commands = [_command(each) for each in NEEDED]
    try:
        refused = {as_text(each) for each in redis.eval(MISSING_RIGHTS.text, 0, *commands)}
    except NoPermissionError:
        return ("+eval",)
    except ResponseError:
        return ()
    with_key = {command for command in commands if KEY in command}
    if with_key <= refused:
        return ("~apitraffic:*", *_names(refused - with_key))
    return _names(refused)


def require_rights(redis: Redis) -> None:
    """Raises `RightsMissing`, which names the missing rights."""
    if missing := missing_rights(redis):
        raise RightsMissing(
            f"REDIS_URL: its user lacks {' '.join(missing)}; give it these with ACL SETUSER, {WHOLE_RULE}"
        )


def _command(needed: str) -> str:
    return needed.replace("KEY", KEY).replace("CHANNEL", CHANNEL)


def _names(commands: set[str]) -> tuple[str, ...]:
    names = {name_of(command) for command in commands}
    return tuple(sorted(f"+{name}" + (" &apitraffic:*" if name == "subscribe" else "") for name in names))


def name_of(command: str) -> str:
    """As a rule names it: `client|setname`."""
    first, *rest = command.split()
    return f"{first}|{rest[0]}" if first in SUBCOMMANDS_OF else first
