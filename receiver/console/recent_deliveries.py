"""The deliveries and refusals of the last days, shared by all viewers: Redis is asked for what is new."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Final

from redis import Redis

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.errors import StorageUnavailable
from receiver.events import Delivery
from receiver.queue.delivery_log import (
    DELIVERIES,
    LIFETIME,
    MOST_DELIVERIES,
    MOST_REFUSALS,
    REFUSALS,
    DeliveryLog,
    Entry,
)

NO_REDIS: Final = "REDIS_URL is not set, so nothing is known of deliveries here."
LONGEST_FILTER: Final = 200
STATUSES: Final = ("accepted", "ignored", "duplicate", "quarantined", "refused")


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries to show; an empty text stands for all."""

    source: str = ""
    status: str = ""
    text: str = ""

    @classmethod
    def of(cls, given: Callable[[str], str]) -> "EntryFilter":
        """`given` returns a parameter by its name."""
        text = one_line(given("q"), LONGEST_FILTER).lower()
        return cls(one_line(given("source"), LONGEST_FILTER), one_line(given("status"), LONGEST_FILTER), text)

    @property
    def is_everything(self) -> bool:
        return self == EntryFilter()

    def includes(self, entry: Entry) -> bool:
        return (
            self.source in {"", entry.source}
            and self.status in {"", entry.status}
            and (not self.text or any(self.text in part.lower() for part in _texts(entry)))
        )


def _texts(entry: Entry) -> Iterable[str]:
    yield from (entry.delivery, entry.event, entry.subject, entry.reason, entry.address)
    for key, name in entry.markers:
        yield from (key, name)


class RecentDeliveries:
    """Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, redis: Redis | None, clock: Callable[[], datetime] = now) -> None:
        self._log = DeliveryLog(redis) if redis is not None else None
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = {
            DELIVERIES: deque[Entry](maxlen=MOST_DELIVERIES),
            REFUSALS: deque[Entry](maxlen=MOST_REFUSALS),
        }

    def newest_first(self) -> Sequence[Entry]:
        """All of them."""
        if self._log is None:
            raise StorageUnavailable(NO_REDIS)
        oldest = self._clock() - LIFETIME
        with self._lock:
            for stream, entries in self._entries.items():
                entries.extend(self._log.after(stream, entries[-1].id if entries else ""))
                while entries and entries[0].at < oldest:
                    entries.popleft()
            copies = [list(reversed(entries)) for entries in self._entries.values()]
        return list(merge(*copies, key=lambda entry: entry.at, reverse=True))

    def payload_of(self, entry: Entry) -> Delivery | None:
        """What was received, if it is still kept."""
        if self._log is None or not entry.delivery:
            return None
        return self._log.payload(entry.source, entry.delivery)

    def of_markers(self, keys: frozenset[str]) -> list[Entry]:
        """Those about one of these markers, the oldest first."""
        found = [entry for entry in self.newest_first() if any(key in keys for key, _ in entry.markers)]
        return found[::-1]
