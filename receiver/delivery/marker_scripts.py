"""The scripts that find, lock and save markers: their constants, what they take, and what they reply."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from redis import Redis

from receiver.datastore.keys import LOCK_PREFIX, MARKER_LIFETIME, REMEMBERS_SINCE, AccountKeys
from receiver.datastore.replication import run_replicated
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant, Script
from receiver.delivery.markers import FIELDS, Marker, marker_of
from receiver.queue.queues import JOB_TIMEOUT

LOCK_LIFETIME: Final = JOB_TIMEOUT + 30
"""Seconds; longer than the job that holds the lock may run, so that only a dead worker loses it."""
MOST_MERGES: Final = 16
"""How many merges one name is followed through; asking for a name shortens its way. A marker behind more
merges than that, none of which was asked for since, counts as new."""


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
        return bool(run_replicated(redis, SAVE_MARKER, self.keys, self.arguments))
