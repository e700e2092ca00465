"""What the receiver remembers of each event in the API: `key -> {sid, what was sent, the changes known}`.

Redis keys: `apitraffic:marker:<key>`, 180 days after its last change; `apitraffic:alias:<key>`, as long;
`apitraffic:lock:<key>`, two and a half minutes at most.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self
from uuid import uuid4

from pydantic import TypeAdapter
from redis import Redis

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
LOCK_POLL: Final = 0.02
"""Seconds between looks at it."""
MOST_CHANGES: Final = 50
"""Changes of one marker that are remembered; more are condensed."""

FIELDS: Final = ("changes", "sid", "sent", "in_doubt", "unanswered_since")
CHANGES: Final = TypeAdapter(tuple[Change, ...])

RESOLVE: Final = f"""
-- The name under which the marker is kept, then other such names that turn out to mean the same one. A marker
-- exists from here on, so that whoever comes next with one of its names finds it.
local function resolve(names, lifetime)
    local kept, is_listed = {{}}, {{}}
    for _, name in ipairs(names) do
        local target = redis.call('GET', '{ALIAS_PREFIX}' .. name)
        if not target and redis.call('EXISTS', '{MARKER_PREFIX}' .. name) == 1 then
            target = name
        end
        if target and not is_listed[target] then
            is_listed[target] = true
            kept[#kept + 1] = target
        end
    end
    if #kept == 0 then
        kept[1] = names[1]
        redis.call('HSET', '{MARKER_PREFIX}' .. kept[1], 'in_doubt', '0')
        redis.call('EXPIRE', '{MARKER_PREFIX}' .. kept[1], lifetime)
    end
    for _, name in ipairs(names) do
        if name ~= kept[1] then
            redis.call('SET', '{ALIAS_PREFIX}' .. name, kept[1], 'EX', lifetime)
        end
    end
    return kept
end
"""

RESOLVE_SCRIPT: Final = f"""
-- ARGV: lifetime, then the names
{RESOLVE}
return resolve({{unpack(ARGV, 2)}}, ARGV[1])
"""

FIELD_LIST: Final = ", ".join(f"'{field}'" for field in FIELDS)
OPEN_SCRIPT: Final = f"""
-- ARGV: lifetime, this opener's token, how its owner's tokens begin, its lock's lifetime, whether to resolve,
-- then the names
-- The names under which it is kept and, where nobody else has it, its fields.
{RESOLVE}
local kept = {{ARGV[6]}}
if ARGV[5] == '1' then
    kept = resolve({{unpack(ARGV, 6)}}, ARGV[1])
end
local lock = '{LOCK_PREFIX}' .. kept[1]
local holder = redis.call('GET', lock)
if holder and string.sub(holder, 1, #ARGV[3]) ~= ARGV[3] then
    return {{kept, false}}
end
redis.call('SET', lock, ARGV[2], 'EX', ARGV[4])
return {{kept, redis.call('HMGET', '{MARKER_PREFIX}' .. kept[1], {FIELD_LIST})}}
"""

SAVE_SCRIPT: Final = """
-- KEYS: marker, lock. ARGV: token, seconds to keep the lock for or 0, lifetime, then fields and values
-- Whether the lock was still this opener's; nothing is written where it was not.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[2] == '0' then
    redis.call('DEL', KEYS[2])
else
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return 1
"""

BREAK_LOCK_SCRIPT: Final = """
-- KEYS: lock. ARGV: the token, or how its owner's tokens begin
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


class OpenedMarker:
    """A marker at which nobody else works meanwhile.

    `known` is what was known of it when it was opened; `others` are names under which parts of it were kept
    as markers of their own until now.
    """

    def __init__(self, redis: Redis, token: str, known: Marker, others: Sequence[str]) -> None:
        self.known = known
        self.others = tuple(others)
        self._redis = redis
        self._token = token
        self._is_closed = False

    def save(self, marker: Marker) -> None:
        """Keep it, and go on. The doubt must outlive a fail-over, or its successor would create blindly.

        Raises `Unreplicated` where it might not, and `MarkerBusy` where the marker is not ours any more.
        """
        self._save(marker, LOCK_LIFETIME)

    def save_and_close(self, marker: Marker) -> None:
        """Keep it for whoever is next; raises as `save`."""
        self._save(marker, 0)
        self._is_closed = True

    def close(self) -> None:
        if not self._is_closed:
            self._redis.eval(BREAK_LOCK_SCRIPT, 1, f"{LOCK_PREFIX}{self.known.key}", self._token)

    def _save(self, marker: Marker, hold_for: int) -> None:
        values: tuple[str | bytes | int, ...] = (
            CHANGES.dump_json(marker.changes, by_alias=True),
            marker.sid or "",
            marker.sent.model_dump_json(by_alias=True) if marker.sent else "",
            int(marker.is_in_doubt),
            format_timestamp(marker.unanswered_since) if marker.unanswered_since else "",
        )
        fields = [item for pair in zip(FIELDS, values, strict=True) for item in pair]
        keys = (f"{MARKER_PREFIX}{marker.key}", f"{LOCK_PREFIX}{marker.key}")
        arguments = [*keys, self._token, hold_for, MARKER_LIFETIME, *fields]
        if marker.is_in_doubt:
            (is_saved,) = write_replicated(
                self._redis, lambda pipeline: pipeline.eval(SAVE_SCRIPT, len(keys), *arguments)
            )
        else:
            is_saved = self._redis.eval(SAVE_SCRIPT, len(keys), *arguments)
        if not is_saved:
            raise MarkerBusy(marker.key)


class MarkerStore:
    """Markers in Redis, one worker at a time on each; `owner` is this worker's name."""

    def __init__(self, redis: Redis, owner: str) -> None:
        self._redis = redis
        self._owner = owner
        self._resolve = redis.register_script(RESOLVE_SCRIPT)
        self._open = redis.register_script(OPEN_SCRIPT)

    def resolve(self, names: Sequence[str]) -> tuple[str, ...]:
        """The key under which a marker of these names is kept; and others that were kept apart until now."""
        return tuple(_text(name) for name in self._resolve(args=[MARKER_LIFETIME, *names]))

    def forget(self, key: str, in_favour_of: str) -> None:
        """Let a marker be known as another one from now on."""
        with self._redis.pipeline() as pipeline:
            pipeline.delete(f"{MARKER_PREFIX}{key}")
            pipeline.set(f"{ALIAS_PREFIX}{key}", in_favour_of, ex=MARKER_LIFETIME)
            pipeline.execute()

    @contextmanager
    def opened(self, names: Sequence[str], *, resolved: bool = False) -> Iterator[OpenedMarker]:
        """Be the only one at the marker of these names, or at the one that is kept under a `resolved` one.

        Raises `MarkerBusy`. A dead worker's lock ends by itself; one that this owner could not give back,
        because Redis was away, is its own: it is at one job at a time.
        """
        owner = f"{self._owner} "
        token = f"{owner}{uuid4().hex}"
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            kept, fields = self._open(
                args=[MARKER_LIFETIME, token, owner, LOCK_LIFETIME, int(not resolved), *names]
            )
            key, *others = map(_text, kept)
            if fields:
                break
            if time.monotonic() >= deadline:
                raise MarkerBusy(key)
            time.sleep(LOCK_POLL)
        opened = OpenedMarker(self._redis, token, _marker_of(key, fields), others)
        try:
            yield opened
        finally:
            opened.close()

    def break_lock(self, key: str) -> None:
        """Free a marker that this owner had locked when it died."""
        self._redis.eval(BREAK_LOCK_SCRIPT, 1, f"{LOCK_PREFIX}{key}", f"{self._owner} ")


def _marker_of(key: str, fields: Sequence[bytes | str | None]) -> Marker:
    changes, sid, sent, in_doubt, unanswered = fields
    return Marker(
        key,
        changes=CHANGES.validate_json(changes) if changes else (),
        sid=_text(sid) or None,
        sent=Event.model_validate_json(sent) if sent else None,
        is_in_doubt=_text(in_doubt) == "1",
        unanswered_since=parse_timestamp(_text(unanswered) or None),
    )


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
