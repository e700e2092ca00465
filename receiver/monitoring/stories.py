"""What became of one delivery, marker or event, as far as Redis knows. Nothing is written.

The log of deliveries lasts three days. A delivery that made changes is remembered for 14 days, one in the
quarantine as long, a marker for 180 days after its last change, and the job of a change until it has been
delivered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from receiver.datastore.failures import redis_required
from receiver.datastore.keys import AccountKeys, keys_of
from receiver.datastore.replies import as_text
from receiver.delivery.marker_scripts import MOST_MERGES
from receiver.delivery.markers import FIELDS, Marker, marker_of
from receiver.queue.dead_letters import DeadLetter, DeadLetters
from receiver.queue.delivery_log import DELIVERIES, DeliveryLog, Entry
from receiver.queue.enqueueing import SEEN_PREFIX
from receiver.queue.inspection import JobState, states_of
from receiver.queue.queues import job_id_stem
from receiver.reception.quarantine import Quarantine, Quarantined

MOST_JOBS: Final = 100
"""Changes of one delivery that are looked for."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change that has not been delivered; `letter` says why, if it is a dead letter."""

    state: JobState
    letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """A delivery. `entries` are those of the log, the oldest first: it may have come more than once.

    `is_remembered` says that it made changes, which a repeat would not make again.
    """

    source: str
    id: str
    entries: Sequence[Entry] = ()
    is_remembered: bool = False
    pending: Sequence[PendingChange] = ()
    quarantined: Quarantined | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of its markers, as far as the log or a dead letter names them."""
        logged = [key for entry in self.entries for key, _ in entry.markers]
        dead = [change.letter.key for change in self.pending if change.letter]
        return list(dict.fromkeys((*logged, *dead)))


class Archive:
    """Looks things up. Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, redis: Redis, accounts: Iterable[str] = ()) -> None:
        """`accounts` are those of apitraffic.toml, besides the one of APITRAFFIC_ACCOUNT_SID."""
        self._redis = redis
        self._accounts = (None, *accounts)

    def deliveries(self, name: str, sources: Iterable[str]) -> list[DeliveryStory]:
        """Those with this id, or `<source>:<id>`. Two senders may have used one id."""
        source, _, rest = name.partition(":")
        known = list(sources)
        wanted = [(each, name) for each in known] + ([(source, rest)] if source in known and rest else [])
        entries: dict[tuple[str, str], list[Entry]] = {}
        for entry in DeliveryLog(self._redis).after(DELIVERIES, ""):
            if entry.delivery in {name, rest}:
                entries.setdefault((entry.source, entry.delivery), []).append(entry)
        found = (self._delivery(*each, entries.get(each, [])) for each in wanted)
        return [story for story in found if story is not None]

    def _delivery(self, source: str, delivery_id: str, entries: Sequence[Entry]) -> DeliveryStory | None:
        quarantined = Quarantine(self._redis).find(f"{source}:{delivery_id}")
        with redis_required():
            is_remembered = bool(self._redis.exists(f"{SEEN_PREFIX}{source}:{delivery_id}"))
        if not (is_remembered or entries or quarantined):
            return None
        pending = self._pending(source, delivery_id) if is_remembered else []
        return DeliveryStory(source, delivery_id, entries, is_remembered, pending, quarantined)

    def _pending(self, source: str, delivery_id: str) -> list[PendingChange]:
        stem = job_id_stem(source, delivery_id)
        states = states_of(self._redis, [f"{stem}-{number}" for number in range(MOST_JOBS)])
        letters = DeadLetters.of_all_accounts(self._redis)
        return [
            PendingChange(state, letters.find(name) if state is JobState.DEAD else None)
            for name, state in states.items()
            if state is not JobState.GONE
        ]

    def markers(self, name: str) -> list[tuple[str | None, Marker]]:
        """The markers that have this key, or had it before they were merged, or have claimed it.

        At most one of each account, with the account's name.
        """
        with redis_required():
            found = ((account, self._marker(name, keys_of(account))) for account in self._accounts)
            return [(account, marker) for account, marker in found if marker is not None]

    def _marker(self, name: str, keys: AccountKeys) -> Marker | None:
        for _ in range(MOST_MERGES):
            if self._redis.exists(f"{keys.marker}{name}"):
                fields: Any = self._redis.hmget(f"{keys.marker}{name}", FIELDS)
                return marker_of(name, fields)
            after = self._redis.mget(f"{keys.alias}{name}", f"{keys.claim}{name}")
            target = next((as_text(each) for each in after if each), None)
            if target is None:
                return None
            name = target
        return None
