"""Checks of Redis and the spool, which keep the deliveries."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any, Final

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from receiver.datastore.acl import missing_rights
from receiver.datastore.failures import WHOLE_RULE, advice_on, in_words
from receiver.datastore.replies import as_text
from receiver.doctor.findings import Finding, FindingState, failure, ok, warning
from receiver.errors import StorageUnavailable
from receiver.queue.enqueueing import Enqueuer
from receiver.reception.delivery_store import DRAIN_INTERVAL
from receiver.reception.spool import LARGEST, Spool

OLDEST_VERSION: Final = (6, 2)
PINGS: Final = 5
SLOW: Final = 0.05
"""Seconds for a ping; with `appendfsync always`, a write takes longer."""
NEARLY_FULL: Final = 90
"""Per cent."""
LONGEST_DRAIN: Final = 3.0
"""Seconds in which a running receiver moves what is in the spool, or some of it."""
MAKE_ROOM: Final = "free space on its disk: what is in the spool still drains, but it takes nothing more"
LET_WRITE: Final = "let the receiver's user write to that file and its folder"


def redis(client: Redis) -> Iterator[Finding]:
    """All findings about Redis. A check that an earlier failure makes pointless is left out."""
    reached = reachable(client)
    yield reached
    if reached.state is FindingState.FAILURE:
        return
    yield takes_writes(Enqueuer(client).check)
    if missing := missing_rights(client):
        yield failure("redis_rights", f"its user lacks {' '.join(missing)}", f"ACL SETUSER; {WHOLE_RULE}")
    try:
        info: Mapping[str, Any] = client.info()
    except ResponseError as error:
        yield warning(
            "redis_info", f"its settings cannot be read; {error}", "allow this user the command INFO"
        )
        return
    yield version(info)
    yield persistence(info, setting(client, "appendfsync"))
    yield memory(info)


def reachable(client: Redis) -> Finding:
    """PING, several times: the first one also connects."""
    try:
        client.ping()
        seconds = median(_seconds_of(client.ping) for _ in range(PINGS))
    except (AuthenticationError, NoPermissionError) as error:
        advice = advice_on(error) or "correct the user name and password in REDIS_URL"
        return failure("redis", f"refuses the connection; {error}", advice)
    except RedisError as error:
        return failure(
            "redis",
            f"cannot be reached; {in_words(error)}",
            advice_on(error) or "start it, or correct REDIS_URL; deliveries go to the spool meanwhile",
        )
    found = f"answers in {seconds * 1000:.1f} ms"
    if seconds > SLOW:
        return warning(
            "redis", found, "run it closer to the receiver: each delivery waits for it before it is answered"
        )
    return ok("redis", found)


def takes_writes(check: Callable[[], None]) -> Finding:
    """A PING does not tell: a replica and a Redis without memory answer it too."""
    try:
        check()
    except StorageUnavailable as error:
        return failure(
            "redis_write",
            f"does not accept writes; {error}",
            "point REDIS_URL at the primary, and check its memory and disk",
        )
    return ok("redis_write", "accepts writes")


def version(info: Mapping[str, Any]) -> Finding:
    text = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_VERSION:
        return failure("redis_version", text or "unknown", "upgrade to 6.2 or newer: workers need LMOVE")
    # Valkey names the Redis that it took over from, 7.2.4, and itself beside it.
    valkey = info.get("valkey_version")
    return ok("redis_version", f"Valkey {valkey}" if valkey else text)


def persistence(info: Mapping[str, Any], appendfsync: str | None) -> Finding:
    """Whether accepted deliveries survive a restart; `appendfsync` is None if CONFIG is refused."""
    if not info.get("aof_enabled"):
        return failure(
            "redis_persistence",
            "the append-only file is off: a restart loses what was accepted and not yet delivered",
            "set `appendonly yes` in redis.conf; at once: redis-cli CONFIG SET appendonly yes"
            if appendfsync
            else "this server refuses CONFIG: switch the append-only file (AOF) on with your provider, or use"
            " a Redis that has one",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return failure(
            "redis_persistence", "the append-only file cannot be written", "check its disk and Redis' log"
        )
    if appendfsync == "no":
        return failure(
            "redis_persistence",
            "appendfsync is no: the kernel decides when accepted deliveries reach the disk",
            "set `appendfsync everysec`, or `always`, in redis.conf",
        )
    if appendfsync == "everysec":
        return ok(
            "redis_persistence",
            "append-only file, appendfsync everysec: a power failure can lose the last second",
        )
    return ok("redis_persistence", f"append-only file{f', appendfsync {appendfsync}' if appendfsync else ''}")


def memory(info: Mapping[str, Any]) -> Finding:
    """Whether Redis may evict accepted deliveries, and how much memory is left."""
    policy = str(info.get("maxmemory_policy", "unknown"))
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if policy != "noeviction":
        thrown = "Redis evicts keys when" if most else "Redis would evict keys if maxmemory were set and"
        return (failure if most else warning)(
            "redis_memory",
            f"maxmemory-policy is {policy}: {thrown} memory runs out, accepted deliveries among them",
            "set `maxmemory-policy noeviction` in redis.conf; at once: redis-cli CONFIG SET maxmemory-policy "
            "noeviction",
        )
    if most and used >= most:
        return failure(
            "redis_memory",
            "all of maxmemory is used: Redis takes no deliveries, which go to the spool",
            "raise maxmemory; workers deliver meanwhile what is queued",
        )
    if most and used * 100 >= most * NEARLY_FULL:
        return warning(
            "redis_memory",
            f"{used * 100 // most} % of maxmemory is used",
            "raise maxmemory; when full, deliveries go to the spool",
        )
    return ok("redis_memory", f"noeviction, {f'{used * 100 // most} % of maxmemory' if most else 'no limit'}")


def spool(kept: Spool | None) -> Finding:
    """Whether the spool can be written. Does not create the file: it must belong to the receiver's user."""
    if kept is None:
        return warning(
            "spool",
            "off: while Redis is not reachable, senders get 503",
            "set APITRAFFIC_SPOOL to a file on a disk that lasts",
        )
    path, of_others = kept.path, 0
    if path.exists():
        try:
            kept.check()
            waiting, of_others = kept.count(), kept.of_others()
        except StorageUnavailable as error:
            return failure("spool", str(error), MAKE_ROOM if "full" in str(error) else LET_WRITE)
        found = f"{path} can be written" + (f"; deliveries waiting in it: {waiting}" if waiting else "")
    else:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            return failure(
                "spool",
                f"{path} cannot be created: this user may not write to {folder}",
                "run this as the receiver's user, give it that folder, or set APITRAFFIC_SPOOL",
            )
        found = f"{path} can be created"
    free = shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.exists())).free
    if free < LARGEST:
        return warning(
            "spool",
            f"{found}, but its disk has {free // 2**20} MiB left",
            f"free {LARGEST // 2**20} MiB: the spool may grow to that size",
        )
    if of_others:
        return warning("spool", *left_by_others(path, of_others))
    return ok("spool", found)


def left_by_others(path: Path, count: int) -> tuple[str, str]:
    """What to say of deliveries that receivers with another account have put into the same file."""
    found = f"{path} holds deliveries that were accepted for another account, and they stay there: {count}"
    advice = (
        "start that account's receiver; if this one's APITRAFFIC_ACCOUNT_SID was changed, "
        f"set APITRAFFIC_SPOOL={path}, and it takes them all"
    )
    return found, advice


def spool_drain(spool: Spool, longest: float = LONGEST_DRAIN) -> Iterator[Finding]:
    """Whether what waits in the spool is moved to a Redis that takes writes; nothing if nothing waits."""
    path = spool.path
    try:
        waiting = spool.numbers()
        if not waiting:
            return
        ends_at = monotonic() + longest
        while waiting[0] in spool.numbers():
            if monotonic() > ends_at:
                yield failure(
                    "spool_drain",
                    f"deliveries stay in {path} although Redis accepts writes: {spool.count()}",
                    "is a receiver running here? Its log says why: `deliveries stay in the spool`",
                )
                return
            sleep(DRAIN_INTERVAL / 5)
    except StorageUnavailable:
        return  # The check of the spool has said so.
    yield ok("spool_drain", "what waits in the spool is being moved to Redis")


def _seconds_of(action: Callable[[], object]) -> float:
    began = perf_counter()
    action()
    return perf_counter() - began


def setting(client: Redis, name: str) -> str | None:
    """`None` if CONFIG is forbidden, as it is by many hosting providers."""
    with suppress(ResponseError):
        settings: Any = client.config_get(name)
        return {as_text(key): as_text(value) for key, value in settings.items()}.get(name)
    return None
