"""What the receiver remembers of each event in the API: `key -> {sid, what was sent, the changes known}`.

Redis keys: `apitraffic:marker:<key>`, 180 days after its last change; `apitraffic:alias:<key>`, as long;
`apitraffic:lock:<key>`, two and a half minutes at most.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self
from uuid import uuid4

from pydantic import TypeAdapter
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import LockError
from redis.lock import Lock

from receiver.events import Change, Event
from receiver.folding import condensed, in_order
from receiver.queues import JOB_TIMEOUT
from receiver.replication import write_replicated
from receiver.timestamps import format_timestamp, parse_timestamp

MARKER_PREFIX: Final = "apitraffic:marker:"
MARKER_LIFETIME: Final = 180 * 86_400
ALIAS_PREFIX: Final = "apitraffic:alias:"
LOCK_PREFIX: Final = "apitraffic:lock:"
LOCK_LIFETIME: Final = JOB_TIMEOUT + 30
"""Seconds; longer than the job that holds it may run, so that only a dead worker loses it."""
LOCK_PATIENCE: Final = 2.0
"""Seconds a worker waits for another one's lock before it tries the job again later."""
MOST_CHANGES: Final = 50
"""Changes of one marker that are remembered; more are condensed."""

FIELDS: Final = ("changes", "sid", "sent", "in_doubt", "unanswered_since")
CHANGES: Final = TypeAdapter(tuple[Change, ...])

RESOLVE_SCRIPT: Final = """
-- KEYS: for each name its alias and its marker. ARGV: lifetime, then the names
-- The name under which the marker is kept, then other such names that turn out to mean the same one. A marker
-- exists from here on, so that whoever comes next with one of its names finds it.
local kept, is_listed = {}, {}
for index = 2, #ARGV do
    local target = redis.call('GET', KEYS[2 * index - 3])
    if not target and redis.call('EXISTS', KEYS[2 * index - 2]) == 1 then
        target = ARGV[index]
    end
    if target and not is_listed[target] then
        is_listed[target] = true
        kept[#kept + 1] = target
    end
end
if #kept == 0 then
    kept[1] = ARGV[2]
    redis.call('HSET', KEYS[2], 'in_doubt', '0')
    redis.call('EXPIRE', KEYS[2], ARGV[1])
end
for index = 2, #ARGV do
    if ARGV[index] ~= kept[1] then
        redis.call('SET', KEYS[2 * index - 3], kept[1], 'EX', ARGV[1])
    end
end
return kept
"""

BREAK_LOCK_SCRIPT: Final = """
-- KEYS: lock. ARGV: how its owner's tokens begin
local token = redis.call('GET', KEYS[1])
if token and string.sub(token, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""


class MarkerBusy(Exception):
    """Another worker is at this marker just now."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker.

    `sid` and `sent` are what the API has, as far as is known. `is_in_doubt` says that an attempt to create
    or update it was begun and its end is not known: the API may have it. `unanswered_since` is when a request
    began that got no answer at all: the API may still be at it.
    """

    key: str
    changes: tuple[Change, ...] = ()
    sid: str | None = None
    sent: Event | None = None
    is_in_doubt: bool = False
    unanswered_since: datetime | None = None

    def with_change(self, *added: Change) -> Self:
        changes = in_order((*self.changes, *added))
        while len(changes) > MOST_CHANGES:
            changes = condensed(changes)
        return replace(self, changes=changes)


class MarkerStore:
    """Markers in Redis, one worker at a time on each; `owner` is this worker's name."""

    def __init__(self, redis: Redis, owner: str) -> None:
        self._redis = redis
        self._owner = owner
        self._break_lock = redis.register_script(BREAK_LOCK_SCRIPT)
        self._resolve = redis.register_script(RESOLVE_SCRIPT)

    def resolve(self, names: Sequence[str]) -> tuple[str, ...]:
        """The key under which a marker of these names is kept; and others that were kept apart until now."""
        keys = [prefix + name for name in names for prefix in (ALIAS_PREFIX, MARKER_PREFIX)]
        kept = self._resolve(keys=keys, args=[MARKER_LIFETIME, *names])
        return tuple(_text(name) for name in kept)

    def forget(self, key: str, in_favour_of: str) -> None:
        """Let a marker be known as another one from now on."""
        with self._redis.pipeline() as pipeline:
            pipeline.delete(f"{MARKER_PREFIX}{key}")
            pipeline.set(f"{ALIAS_PREFIX}{key}", in_favour_of, ex=MARKER_LIFETIME)
            pipeline.execute()

    @contextmanager
    def locked(self, key: str) -> Iterator[Lock]:
        """Be the only worker at this marker; raises `MarkerBusy`. A dead worker's lock ends by itself."""
        lock = self._redis.lock(f"{LOCK_PREFIX}{key}", timeout=LOCK_LIFETIME, sleep=0.02)
        if not lock.acquire(blocking_timeout=LOCK_PATIENCE, token=f"{self._owner} {uuid4().hex}"):
            raise MarkerBusy(key)
        try:
            yield lock
        finally:
            # It may have run out while we held it; whoever has it now must keep it.
            with suppress(LockError):
                lock.release()

    def break_lock(self, key: str) -> None:
        """Free a marker that this owner had locked when it died."""
        self._break_lock(keys=[f"{LOCK_PREFIX}{key}"], args=[f"{self._owner} "])

    def load(self, key: str) -> Marker:
        changes, sid, sent, in_doubt, unanswered = self._redis.hmget(f"{MARKER_PREFIX}{key}", FIELDS)
        return Marker(
            key,
            changes=CHANGES.validate_json(changes) if changes else (),
            sid=_text(sid) or None,
            sent=Event.model_validate_json(sent) if sent else None,
            is_in_doubt=_text(in_doubt) == "1",
            unanswered_since=parse_timestamp(_text(unanswered) or None),
        )

    def save(self, marker: Marker) -> None:
        """Keep it. The doubt must outlive a fail-over, or the next worker would create without a look.

        Raises `Unreplicated` where it might not.
        """
        name = f"{MARKER_PREFIX}{marker.key}"
        values = (
            CHANGES.dump_json(marker.changes, by_alias=True),
            marker.sid or "",
            marker.sent.model_dump_json(by_alias=True) if marker.sent else "",
            int(marker.is_in_doubt),
            format_timestamp(marker.unanswered_since) if marker.unanswered_since else "",
        )

        def write(pipeline: Pipeline) -> None:
            pipeline.hset(name, mapping=dict(zip(FIELDS, values, strict=True)))
            pipeline.expire(name, MARKER_LIFETIME)

        if marker.is_in_doubt:
            write_replicated(self._redis, write)
            return
        with self._redis.pipeline() as pipeline:
            write(pipeline)
            pipeline.execute()


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
