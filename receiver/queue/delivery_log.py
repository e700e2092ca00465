"""What became of each request that was, or claimed to be, a delivery: kept for people who look.

Redis keys: `apitraffic:deliveries` and `apitraffic:refusals`, streams of the latest 10,000 and 1,000 entries,
for three days. What is queued is noted by the script that queues it. The rest is noted by a thread, so that
no answer waits for it; if Redis is away, or the process dies, the latest of these are lost.

A refusal may come from anybody. So it has a stream of its own, where it pushes out no delivery.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.datastore.failures import explain
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant
from receiver.errors import StorageUnavailable
from receiver.events import Change

DELIVERIES: Final = "apitraffic:deliveries"
REFUSALS: Final = "apitraffic:refusals"
MOST_DELIVERIES: Final = 10_000
MOST_REFUSALS: Final = 1_000
LIFETIME: Final = timedelta(days=3)
LOG_CONSTANTS: Final[Mapping[str, Constant]] = MappingProxyType(
    {"MOST_DELIVERIES": MOST_DELIVERIES, "DELIVERIES_LIFETIME": int(LIFETIME.total_seconds())}
)
"""What scripts need that include `note_delivery.lua`."""

MOST_MARKERS: Final = 5
"""Markers that are named of one delivery."""
LONGEST_TEXT: Final = 200
SUBJECTS: Final = ("repository", "service", "job")
BATCH: Final = 500
INTERVAL: Final = 0.5
"""Seconds between two writes of the thread."""
MOST_WAITING: Final = 500
"""Entries that wait for the thread; further ones are dropped, the oldest first."""
SAME_REFUSAL: Final = 1.0
"""Seconds."""
MOST_KINDS: Final = 1_000
REFUSED: Final = "refused"
SEPARATOR: Final = "\x1f"
FIXED_TEXTS: Final = 6
"""Of an entry; the keys and names of its markers follow them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`status` is the receiver's answer in one word. `subject` is the repository, service or job.

    `markers` are the keys and names of its markers, the first ones; `address` is only kept of a refusal. `id`
    is Redis' own, and empty until it is stored.
    """

    status: str
    source: str
    delivery: str = ""
    event: str = ""
    subject: str = ""
    reason: str = ""
    markers: tuple[tuple[str, str], ...] = ()
    address: str = ""
    id: str = ""

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(int(self.id.partition("-")[0] or 0) / 1000, tz=UTC)

    def to_text(self) -> str:
        """All but the status and the id. None of it holds a control character, such as the separator."""
        markers = (text for marker in self.markers for text in marker)
        texts = (self.source, self.delivery, self.event, self.subject, self.reason, self.address, *markers)
        return SEPARATOR.join(texts)

    @classmethod
    def from_item(cls, item_id: Any, fields: Any) -> Self | None:
        """`None` for what another version has written in another form."""
        texts = {as_text(name): as_text(value) for name, value in (fields or {}).items()}
        words = texts.get("entry", "").split(SEPARATOR)
        if len(words) < FIXED_TEXTS or len(words) % 2 != FIXED_TEXTS % 2:
            return None
        source, delivery, event, subject, reason, address, *markers = words
        return cls(
            status=texts.get("status", ""),
            source=source,
            delivery=delivery,
            event=event,
            subject=subject,
            reason=reason,
            markers=tuple(zip(markers[::2], markers[1::2], strict=True)),
            address=address,
            id=as_text(item_id),
        )


def entry_of(changes: Sequence[Change], status: str = "accepted") -> Entry:
    """What is noted of a delivery that makes these changes."""
    first = changes[0]
    metadata = first.event.metadata
    subject = next((value for name in SUBJECTS if isinstance(value := metadata.get(name), str)), "")
    return Entry(
        status,
        first.delivery.source,
        first.delivery.id,
        first.delivery.event,
        subject[:LONGEST_TEXT],
        markers=tuple((change.key, change.event.name) for change in changes[:MOST_MARKERS]),
    )


class DeliveryNotes:
    """Takes notes from any thread, and writes them from one of its own. `start` it in each process."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._refused_at: dict[tuple[str, str], float] = {}
        self._waiting: deque[Entry] = deque(maxlen=MOST_WAITING)
        self._due = threading.Event()

    def note(self, status: str, source: str, delivery: str, event: str, reason: str) -> None:
        """Note a delivery that was not queued. Costs some microseconds, and never raises."""
        self._add(Entry(status, source, _line(delivery), _line(event), reason=_line(reason)))

    def refused(self, source: str, reason: str, address: str) -> None:
        """Note a refusal: one a second of each source and reason, for anybody may cause them."""
        moment, kind = self._clock(), (source, reason)
        if moment - self._refused_at.get(kind, moment - SAME_REFUSAL) >= SAME_REFUSAL:
            if len(self._refused_at) >= MOST_KINDS:
                self._refused_at.clear()
            self._refused_at[kind] = moment
            self._add(Entry(REFUSED, source, reason=_line(reason), address=address))

    def _add(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._due.set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="delivery-notes", daemon=True).start()

    def write(self) -> None:
        """Write what waits. Raises `RedisError`; then it is lost."""
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        with self._redis.pipeline(transaction=False) as pipeline:
            for entry in entries:
                is_refusal = entry.status == REFUSED
                stream, most = (REFUSALS, MOST_REFUSALS) if is_refusal else (DELIVERIES, MOST_DELIVERIES)
                pipeline.xadd(stream, {"status": entry.status, "entry": entry.to_text()}, maxlen=most)
                pipeline.expire(stream, LIFETIME)
            pipeline.execute()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            with suppress(RedisError):
                self.write()
            # Notes that arrive within this time are written together.
            threading.Event().wait(INTERVAL)


class DeliveryLog:
    """Reads the entries. Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, redis: Redis, clock: Callable[[], datetime] = now) -> None:
        self._redis = redis
        self._clock = clock

    def after(self, stream: str, entry_id: str) -> list[Entry]:
        """The entries that were added after this one, the oldest first; all that are not too old for ""."""
        oldest = str(int((self._clock() - LIFETIME).timestamp() * 1000))
        start = f"({entry_id}" if entry_id else oldest
        found: list[Entry] = []
        try:
            while items := self._redis.xrange(stream, start, "+", count=BATCH):
                entries = (Entry.from_item(*item) for item in items)
                found += [entry for entry in entries if entry is not None]
                start = f"({as_text(items[-1][0])}"
        except RedisError as error:
            raise StorageUnavailable(f"Redis: {explain(error)}") from error
        return found


def _line(text: str) -> str:
    return one_line(text, LONGEST_TEXT)
