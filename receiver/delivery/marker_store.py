"""Markers in Redis: one worker at a time locks a marker, and saves what it knows of it.

Redis keys: `apitraffic:marker:<key>`, for 180 days after its last change; `apitraffic:alias:<key>` and
`apitraffic:claim:<name>`, as long; `apitraffic:lock:<key>`, for two and a half minutes at most;
`apitraffic:remembers-since`, as long as Redis keeps its data; `apitraffic:alerts-to-check`, the alerts that
fire. Each further account has all but `remembers-since` of its own (`receiver.datastore.keys`): the same
deployment in two accounts is two markers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from pydantic import TypeAdapter
from redis import Redis

from apitraffic_events.event import ALREADY_CLEAN, Event
from apitraffic_events.timestamps import format_timestamp, now, parse_timestamp
from receiver.datastore.keys import (
    LOCK_PREFIX,
    MARKER_LIFETIME,
    REMEMBERS_SINCE,
    AccountKeys,
    keys_of,
    names_as_json,
)
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant, Script
from receiver.delivery.markers import Marker
from receiver.events import Change
from receiver.insight.annotation import Insight
from receiver.queue.queues import JOB_TIMEOUT

LOCK_LIFETIME: Final = JOB_TIMEOUT + 30
"""Seconds; longer than the job that holds the lock may run, so that only a dead worker loses it."""
MOST_MERGES: Final = 16
"""How many merges one name is followed through; asking for a name shortens its way. A marker behind more
merges than that, none of which was asked for since, counts as new."""
FIELDS: Final = ("changes", "sid", "sent", "in_doubt", "unanswered_since", "looked_at", "insight")
CHANGES: Final = TypeAdapter(tuple[Change, ...])


def marker_constants(keys: AccountKeys) -> Mapping[str, Constant]:
    """What scripts need that include `resolve.lua`, `lock.lua` or `save.lua`."""
    return MappingProxyType(
        {
            "ALIAS_PREFIX": keys.alias,
            "CLAIM_PREFIX": keys.claim,
            "LOCK_LIFETIME": LOCK_LIFETIME,
            "LOCK_PREFIX": keys.lock,
            "MARKER_FIELDS": FIELDS,
            "MARKER_LIFETIME": MARKER_LIFETIME,
            "MARKER_PREFIX": keys.marker,
            "MOST_MERGES": MOST_MERGES,
            "REMEMBERS_SINCE": REMEMBERS_SINCE,
        }
    )


MARKER_CONSTANTS: Final = marker_constants(AccountKeys())
RESOLVE_MARKER: Final = Script("resolve_marker", MARKER_CONSTANTS)
LOCK_MARKER: Final = Script("lock_marker", MARKER_CONSTANTS)
SAVE_MARKER: Final = Script("save_marker", MARKER_CONSTANTS)
RELEASE_LOCK: Final = Script("release_lock")


class MarkerBusy(Exception):
    """Somebody else holds the lock of this marker."""


class MustWait(Exception):
    """No request may begin now: since the job was dequeued, delivery was paused, or the budget is used up.

    Nothing was done and nothing is in doubt.
    """


@dataclass(frozen=True, slots=True)
class LockReply:
    """What `lock` in `lock.lua` returns; there are no fields if another owner holds the lock."""

    token: str
    stored: Sequence[bytes | str]
    fields: Sequence[bytes | str | None] | None
    granted: Sequence[bytes | str] = ()
    since: bytes | str = "0"
    lock_prefix: str = field(default=LOCK_PREFIX, kw_only=True)

    @property
    def remembers_since(self) -> datetime:
        """Since when this Redis has kept its data."""
        return datetime.fromtimestamp(float(self.since), tz=UTC)

    @property
    def claims(self) -> tuple[str, ...]:
        return tuple(map(as_text, self.granted))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(as_text, self.stored))

    @property
    def key(self) -> str:
        """Of the lock."""
        return f"{self.lock_prefix}{as_text(self.stored[0])}"

    def marker(self) -> Marker | None:
        if not self.fields:
            return None
        return marker_of(as_text(self.stored[0]), self.fields)


def marker_of(key: str, fields: Sequence[bytes | str | None]) -> Marker:
    """The marker that is stored under this key with these `FIELDS`."""
    changes, sid, sent, in_doubt, unanswered, looked_at, insight = fields
    return Marker(
        key,
        changes=CHANGES.validate_json(changes, context=ALREADY_CLEAN) if changes else (),
        sid=as_text(sid) or None,
        sent=Event.model_validate_json(sent, context=ALREADY_CLEAN) if sent else None,
        is_in_doubt=as_text(in_doubt) == "1",
        unanswered_since=parse_timestamp(as_text(unanswered) or None),
        looked_at=parse_timestamp(as_text(looked_at) or None),
        insight=Insight.model_validate_json(insight, context=ALREADY_CLEAN) if insight else None,
    )


@dataclass(frozen=True, slots=True)
class MarkerSave:
    """What `save` in `save.lua` takes: the keys of the marker and of its lock, then the rest."""

    keys: tuple[str, str]
    arguments: tuple[str | bytes | int, ...]

    def send(self, redis: Redis) -> bool:
        """Returns whether the lock was still held, and so the marker was saved."""
        return bool(SAVE_MARKER.run(redis, self.keys, self.arguments))

    def send_replicated(self, redis: Redis) -> bool:
        """As `send`; raises `Unreplicated` if a fail-over might lose it."""
        return bool(SAVE_MARKER.run_replicated(redis, self.keys, self.arguments))


class MarkerLock:
    """A marker locked by this worker.

    `known` is what was stored of it when it was locked. `others` are names under which parts of it are still
    stored as markers of their own; `claims` are the names that it claimed and was granted;
    `remembers_since` is when Redis last began without data. `defer` takes what saves and releases the marker
    at the end; without it, that is sent at once. `note_doubt` saves a doubt together with what else is to be
    sent, and returns whether the lock was still held.
    """

    def __init__(
        self,
        redis: Redis,
        reply: LockReply,
        known: Marker,
        defer: Callable[[MarkerSave], None] | None,
        note_doubt: Callable[[MarkerSave], bool] | None,
        keys: AccountKeys,
    ) -> None:
        self.known = known
        self._keys = keys
        self.others = reply.names[1:]
        self.claims = reply.claims
        self.remembers_since = reply.remembers_since
        self._redis = redis
        self._token = reply.token
        self._defer = defer
        self._note_doubt = note_doubt
        self._is_released = False

    def save_doubt(self, marker: Marker) -> None:
        """Save the marker just before a request about it begins, and keep the lock.

        Raises as `save` does, and `MustWait` if no request may begin.
        """
        if self._note_doubt is None:
            self.save(marker)
        elif not self._note_doubt(self._save(marker, LOCK_LIFETIME)):
            raise MarkerBusy(marker.key)

    def save(self, marker: Marker) -> None:
        """Save the marker and keep the lock.

        Raises `MarkerBusy` if the lock has been lost. A doubt must survive a fail-over, or the next worker
        would create the event a second time: raises `Unreplicated` if it might not.
        """
        self._send(self._save(marker, LOCK_LIFETIME), marker)

    def save_and_release(self, marker: Marker) -> None:
        """Save the marker and release the lock; raises as `save` does, unless that is deferred."""
        save = self._save(marker, 0)
        if self._defer is None:
            self._send(save, marker)
        else:
            self._defer(save)
        self._is_released = True

    def release(self) -> None:
        """Release the lock, if it is still held."""
        if not self._is_released:
            RELEASE_LOCK.run(self._redis, [f"{self._keys.lock}{self.known.key}"], [self._token])

    def _save(self, marker: Marker, hold_for: int) -> MarkerSave:
        values: tuple[str | bytes | int, ...] = (
            CHANGES.dump_json(marker.changes, by_alias=True),
            marker.sid or "",
            marker.sent.model_dump_json(by_alias=True) if marker.sent else "",
            int(marker.is_in_doubt),
            format_timestamp(marker.unanswered_since) if marker.unanswered_since else "",
            format_timestamp(marker.looked_at) if marker.looked_at else "",
            marker.insight.model_dump_json() if marker.insight else "",
        )
        fields = [item for pair in zip(FIELDS, values, strict=True) for item in pair]
        keys = (f"{self._keys.marker}{marker.key}", f"{self._keys.lock}{marker.key}")
        return MarkerSave(keys, (self._token, hold_for, *fields))

    def _send(self, save: MarkerSave, marker: Marker) -> None:
        send = save.send_replicated if marker.is_in_doubt else save.send
        if not send(self._redis):
            raise MarkerBusy(marker.key)


class MarkerStore:
    """Locks markers of one account in Redis; `owner` is this worker's name.

    A job may be dequeued together with the lock of its marker. With `releases_with_ack`, what saves and
    releases the marker is sent together with the job's ack. Each saves a round trip
    (`receiver.worker.job_queue`). Each thread of a worker has a store of its own, and they share `held`, the
    tokens of the locks that they hold; `note_doubt` is as in `MarkerLock`.
    """

    def __init__(
        self,
        redis: Redis,
        owner: str,
        *,
        releases_with_ack: bool = False,
        held: set[str] | None = None,
        note_doubt: Callable[[MarkerSave], bool] | None = None,
        account: str | None = None,
    ) -> None:
        self._redis = redis
        self._owner = owner
        self._keys = keys_of(account)
        constants = None if account is None else marker_constants(self._keys)
        self._resolve_script = Script("resolve_marker", constants) if constants else RESOLVE_MARKER
        self._lock_script = Script("lock_marker", constants) if constants else LOCK_MARKER
        self._held = set() if held is None else held
        self._note_doubt = note_doubt
        self._defer = self._defer_release if releases_with_ack else None
        self._prefetched: LockReply | None = None
        self._deferred: MarkerSave | None = None

    def use_prefetched(self, reply: LockReply | None) -> None:
        """Use this reply for the next lock; `None` if the job was dequeued without one."""
        self._prefetched = reply
        self._deferred = None

    def release(self) -> None:
        """Release what a failed job still holds: a prefetched lock, or one whose release was deferred."""
        prefetched, self._prefetched = self._prefetched, None
        if prefetched is not None:
            RELEASE_LOCK.run(self._redis, [prefetched.key], [prefetched.token])
            self._held.discard(prefetched.token)
        if (deferred := self.deferred_release()) is not None:
            deferred.send(self._redis)
            self._held.discard(str(deferred.arguments[0]))

    def deferred_release(self) -> MarkerSave | None:
        """What saves and releases the last marker, to be sent once; `None` if nothing is left to send."""
        deferred, self._deferred = self._deferred, None
        return deferred

    def resolve(self, names: Sequence[str]) -> tuple[str, ...]:
        """The name under which the marker of these names is stored, then others that are to be merged into
        it.
        """
        return tuple(map(as_text, self._resolve_script.run(self._redis, args=names)))

    def named(self, name: str) -> Marker:
        """The marker stored under this name, without locking it; without changes if there is none.

        Raises `RedisError`.
        """
        (key, *_others) = self.resolve([name])
        return marker_of(key, self._redis.hmget(f"{self._keys.marker}{key}", FIELDS))

    def forget(self, key: str, in_favour_of: str) -> None:
        """Delete a marker, and make its key an alias of another one."""
        with self._redis.pipeline() as pipeline:
            pipeline.delete(f"{self._keys.marker}{key}")
            pipeline.set(f"{self._keys.alias}{key}", in_favour_of, ex=MARKER_LIFETIME)
            pipeline.execute()

    def check_again(self, key: str, at: datetime | None) -> None:
        """Have an alert looked at again then, if nothing is heard of it before; `None` for never."""
        if at is None:
            self._redis.zrem(self._keys.alerts_to_check, key)
        else:
            self._redis.zadd(self._keys.alerts_to_check, {key: at.timestamp()})

    @contextmanager
    def locked(
        self, names: Sequence[str], claims: Sequence[str] = (), *, resolved: bool = False
    ) -> Iterator[MarkerLock]:
        """Lock the marker of these names, or the one that is stored under a `resolved` name.

        `claims` are names that the marker takes if no other marker has them.

        Raises `MarkerBusy`, at once: there may be other work to do. The lock of a dead worker expires. A lock
        that this owner could not release, because Redis was unreachable, may be taken over by this owner,
        unless one of its threads holds it.
        """
        reply = self._lock(names, claims, resolved=resolved)
        marker = reply.marker()
        if marker is None:
            raise MarkerBusy(reply.names[0])
        lock = MarkerLock(self._redis, reply, marker, self._defer, self._note_doubt, self._keys)
        self._held.add(reply.token)
        try:
            yield lock
        finally:
            try:
                lock.release()
            finally:
                if self._deferred is None or self._deferred.arguments[0] != reply.token:
                    self._held.discard(reply.token)

    def break_lock(self, key: str, unique: str = "") -> None:
        """Release the lock that this owner held when it died, or only the one whose token ends like this."""
        RELEASE_LOCK.run(self._redis, [f"{self._keys.lock}{key}"], [f"{self._owner} {unique}"])

    def _lock(self, names: Sequence[str], claims: Sequence[str], *, resolved: bool) -> LockReply:
        prefetched, self._prefetched = self._prefetched, None
        if prefetched is not None:
            return prefetched
        token = new_token(self._owner)
        moment = now().timestamp()
        held = list(self._held)
        args: list[str | float] = [token, int(not resolved), names_as_json(names, claims), moment, *held]
        replied = self._lock_script.run(self._redis, args=args)
        return LockReply(token, *replied, lock_prefix=self._keys.lock)

    def _defer_release(self, save: MarkerSave) -> None:
        self._deferred = save


def new_token(owner: str) -> str:
    """The token of one lock: the name of its owner, a space, and something unique."""
    return f"{owner} {uuid4().hex}"
