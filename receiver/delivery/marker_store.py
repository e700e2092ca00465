"""Markers in Redis: one worker at a time locks a marker, and saves what it knows of it.

Redis keys: `apitraffic:marker:<key>`, for 180 days after its last change; `apitraffic:alias:<key>` and
`apitraffic:claim:<name>`, as long; `apitraffic:lock:<key>`, for two and a half minutes at most;
`apitraffic:remembers-since`, as long as Redis keeps its data; `apitraffic:alerts-to-check`, the alerts that
fire. Each further account has all but `remembers-since` of its own (`receiver.datastore.keys`): the same
deployment in two accounts is two markers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

from redis import Redis

from apitraffic_events.timestamps import now
from receiver.datastore.keys import MARKER_LIFETIME, keys_of, names_as_json
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.marker_lock import MarkerBusy, MarkerLock
from receiver.delivery.marker_scripts import (
    LOCK_MARKER,
    RELEASE_LOCK,
    RESOLVE_MARKER,
    LockReply,
    MarkerSave,
    marker_constants,
)
from receiver.delivery.markers import FIELDS, Marker, marker_of


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
