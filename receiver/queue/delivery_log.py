"""The log of deliveries: what became of each request that was, or claimed to be, a delivery.

Redis keys: `apitraffic:deliveries` and `apitraffic:refusals`, streams of the latest 10,000 and 1,000 entries,
for three days. What is queued is noted by the script that queues it. The rest is noted by a thread, so that
no answer waits for it; if Redis is away, or the process dies, the latest of these are lost.

Anybody can cause refusals. So they have a stream of their own, and cannot displace deliveries.

If the configuration says so, payloads of the latest deliveries are kept too: `apitraffic:payloads`, a stream.
"""

import json
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
from receiver.datastore.failures import redis_required
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant
from receiver.events import Change, Delivery
from receiver.routing import DEFAULT_ACCOUNT

DELIVERIES: Final = "apitraffic:deliveries"
REFUSALS: Final = "apitraffic:refusals"
PAYLOADS: Final = "apitraffic:payloads"
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
LARGEST_PAYLOAD: Final = 64 * 1024
"""Bytes; larger ones are not kept."""
PAYLOADS_AT_ONCE: Final = 20
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
    is Redis' own, and empty until it is stored. `account` names the accounts of its
    changes, if one of them has another account than that of APITRAFFIC_ACCOUNT_SID.
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
    account: str = ""

    @property
    def at(self) -> datetime:
        return _moment_of(self.id)

    def to_text(self) -> str:
        """All but the status and the id. None of it holds a control character, such as the separator."""
        markers = (text for marker in self.markers for text in marker)
        texts = (self.source, self.delivery, self.event, self.subject, self.reason, self.address, *markers)
        # As markers come in pairs, an odd text at the end is the account.
        return SEPARATOR.join((*texts, self.account) if self.account else texts)

    @classmethod
    def from_item(cls, item_id: Any, fields: Any) -> Self | None:
        """`None` for what another version has written in another form."""
        texts = {as_text(name): as_text(value) for name, value in (fields or {}).items()}
        words = texts.get("entry", "").split(SEPARATOR)
        if len(words) < FIXED_TEXTS:
            return None
        source, delivery, event, subject, reason, address, *markers = words
        account = markers.pop() if len(markers) % 2 else ""
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
            account=account,
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
        account=_accounts_of(changes),
    )


def _accounts_of(changes: Sequence[Change]) -> str:
    if all(change.account is None for change in changes):
        return ""
    return ", ".join(dict.fromkeys(change.account or DEFAULT_ACCOUNT for change in changes))


@dataclass(frozen=True, slots=True)
class Note:
    """What the thread adds to a stream that keeps so many entries."""

    stream: str
    most: int
    fields: Mapping[str, str | bytes]


class DeliveryNotes:
    """Takes notes from any thread, and writes them from one of its own. `start` it in each process.

    `payloads` says of how many deliveries the payload is kept.
    """

    def __init__(self, redis: Redis, payloads: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._payloads = payloads
        self._clock = clock
        self._refused_at: dict[tuple[str, str], float] = {}
        self._waiting: deque[Note] = deque(maxlen=MOST_WAITING)
        self._due = threading.Event()

    @property
    def keeps_payloads(self) -> bool:
        return self._payloads > 0

    def note(self, status: str, source: str, delivery: str, event: str, reason: str) -> None:
        """Note a delivery that was not queued. Costs some microseconds, and never raises."""
        self._add_entry(Entry(status, source, _line(delivery), _line(event), reason=_line(reason)))

    def refused(self, source: str, reason: str, address: str) -> None:
        """Note a refusal: one a second of each source and reason, for anybody may cause them."""
        moment, kind = self._clock(), (source, reason)
        if moment - self._refused_at.get(kind, moment - SAME_REFUSAL) >= SAME_REFUSAL:
            if len(self._refused_at) >= MOST_KINDS:
                self._refused_at.clear()
            self._refused_at[kind] = moment
            self._add_entry(Entry(REFUSED, source, reason=_line(reason), address=address))

    def keep_payload(self, delivery: Delivery) -> None:
        """Keep an authentic delivery, whose headers hold no credentials, if payloads are kept."""
        if self.keeps_payloads and len(delivery.body) <= LARGEST_PAYLOAD:
            fields: dict[str, str | bytes] = {
                "source": delivery.source,
                "id": delivery.id,
                "event": delivery.event,
                "headers": json.dumps(delivery.headers),
                "body": delivery.body,
            }
            self._add(Note(PAYLOADS, self._payloads, fields))

    def start(self) -> None:
        threading.Thread(target=self._run, name="delivery-notes", daemon=True).start()

    def write(self) -> None:
        """Write what waits. Raises `RedisError`; then it is lost."""
        notes = [self._waiting.popleft() for _ in range(len(self._waiting))]
        with self._redis.pipeline(transaction=False) as pipeline:
            for note in notes:
                is_rough = note.most > BATCH
                fields: dict[Any, Any] = dict(note.fields)
                pipeline.xadd(note.stream, fields, maxlen=note.most, approximate=is_rough)
                pipeline.expire(note.stream, LIFETIME)
            pipeline.execute()

    def _add_entry(self, entry: Entry) -> None:
        is_refusal = entry.status == REFUSED
        stream, most = (REFUSALS, MOST_REFUSALS) if is_refusal else (DELIVERIES, MOST_DELIVERIES)
        self._add(Note(stream, most, {"status": entry.status, "entry": entry.to_text()}))

    def _add(self, note: Note) -> None:
        self._waiting.append(note)
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            with suppress(RedisError):
                self.write()
            # Notes that arrive within this time are written together.
            time.sleep(INTERVAL)


class DeliveryLog:
    """Reads the entries. Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, redis: Redis, clock: Callable[[], datetime] = now) -> None:
        self._redis = redis
        self._clock = clock

    def after(self, stream: str, entry_id: str) -> list[Entry]:
        """The entries that were added after this one, the oldest first; all that are not too old for ""."""
        oldest = str(int((self._clock() - LIFETIME).timestamp() * 1000))
        start = f"({entry_id}" if entry_id else oldest
        end = "+"
        found: list[Entry] = []
        with redis_required():
            # Backwards, by the command that users of Redis may send already.
            while items := self._redis.xrevrange(stream, end, start, count=BATCH):
                entries = (Entry.from_item(*item) for item in items)
                found += [entry for entry in entries if entry is not None]
                end = f"({as_text(items[-1][0])}"
        found.reverse()
        return found

    def payload(self, source: str, delivery_id: str) -> Delivery | None:
        """The delivery as it was received, without credentials, if its payload is still kept."""
        end = "+"
        with redis_required():
            while items := self._redis.xrevrange(PAYLOADS, end, "-", count=PAYLOADS_AT_ONCE):
                for item_id, fields in items:
                    found = _delivery_from(as_text(item_id), fields or {})
                    if found is not None and (found.source, found.id) == (source, delivery_id):
                        return found
                end = f"({as_text(items[-1][0])}"
        return None


def _delivery_from(item_id: str, fields: Mapping[Any, Any]) -> Delivery | None:
    raw = {as_text(name): value for name, value in fields.items()}
    try:
        body = raw["body"]
        return Delivery(
            source=as_text(raw["source"]),
            id=as_text(raw["id"]),
            event=as_text(raw["event"]),
            headers=json.loads(raw["headers"]),
            body=body if isinstance(body, bytes) else str(body).encode(),
            received_at=_moment_of(item_id),
        )
    except (KeyError, ValueError):
        return None


def _moment_of(item_id: str) -> datetime:
    """The time in an entry's id: https://redis.io/docs/latest/develop/data-types/streams/#entry-ids"""
    return datetime.fromtimestamp(int(item_id.partition("-")[0] or 0) / 1000, tz=UTC)


def _line(text: str) -> str:
    return one_line(text, LONGEST_TEXT)
