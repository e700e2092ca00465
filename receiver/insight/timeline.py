"""What is remembered of markers in Redis, by time, and which are to be looked at again.

Redis keys, of each account its own: `apitraffic:timeline:<type>` and `apitraffic:records`, for 30 days;
`apitraffic:history:<subject and environment>`, the latest deploys, for 400 days after the last one;
`apitraffic:second-looks`, until they are done.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError
from redis import Redis

from apitraffic_events.event import ALREADY_CLEAN, EventType
from apitraffic_events.timestamps import now
from receiver.datastore.keys import keys_of
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant, Script
from receiver.insight.records import Record

TYPES: Final = (EventType.DEPLOYMENT, EventType.INCIDENT, EventType.CONFIG_CHANGE, EventType.SCALE)
TIMELINE_LIFETIME: Final = timedelta(days=30)
HISTORY_LIFETIME: Final = timedelta(days=400)
MOST_RECORDS: Final = 10_000
"""Of one type in the timeline."""
MOST_DEPLOYS: Final = 20
"""Of one subject to one environment: each delivery of one reads them all."""
DELETED_AT_ONCE: Final = 10
"""Of a history: deleting takes a round trip of its own."""
LONGEST_LOOK: Final = timedelta(minutes=3)
"""After that a worker that has begun a look counts as dead, and it is made again."""
MOST_NEAR: Final = 50
"""Of one type that are read before, and after, a moment."""
MOST_PARSED: Final = 500
"""Parsed records that are cached, some kilobytes each."""

CONSTANTS: Final[Mapping[str, Constant]] = MappingProxyType(
    {
        "HISTORY_LIFETIME": int(HISTORY_LIFETIME.total_seconds()),
        "MOST_RECORDS": MOST_RECORDS,
        "TIMELINE_LIFETIME": int(TIMELINE_LIFETIME.total_seconds()),
    }
)
NOTE_RECORD: Final = Script("note_record", CONSTANTS)
SECOND_LOOK_DONE: Final = Script("second_look_done")


@dataclass(frozen=True, slots=True)
class Period:
    """Records to read: of this type from `start` to `end`, at most `MOST_NEAR`, the latest if `is_latest`."""

    type: EventType
    start: datetime | None
    end: datetime
    is_latest: bool = False

    def arguments(self) -> tuple[str, ...]:
        start = "-inf" if self.start is None else str(self.start.timestamp())
        end = str(self.end.timestamp())
        return (_number(self.type), start, end, str(MOST_NEAR), str(int(self.is_latest)))


def around(type_: EventType, moment: datetime, before: timedelta, after: timedelta) -> tuple[Period, Period]:
    """The nearest of this type before and after this moment."""
    return (
        Period(type_, moment - before, moment, is_latest=True),
        Period(type_, moment, moment + after),
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is remembered around a marker: the deploys of its history, and what was near, each once."""

    history: tuple[Record, ...] = ()
    near: tuple[Record, ...] = ()


class Timeline:
    """The timeline of one account."""

    def __init__(self, redis: Redis, account: str | None = None) -> None:
        self._redis = redis
        self._keys = keys_of(account)
        self._timelines = [f"{self._keys.timeline}{type_.value}" for type_ in TYPES]
        self._parsed: dict[str, Record] = {}

    def note(
        self, record: Record, periods: Iterable[Period] = (), look_at: datetime | None = None
    ) -> Surroundings:
        """Remember this of its marker, and read what was around it; raises `RedisError`.

        Also plans a second look at it for then, as `look_again` does.
        """
        return self._run(record, _written(record), periods, look_at)

    def read(self, record: Record, periods: Iterable[Period] = ()) -> Surroundings:
        """Read what was around a marker; raises `RedisError`."""
        return self._run(record, "=", periods)

    def forget(self, record: Record) -> None:
        """Forget a marker that is no longer shown; raises `RedisError`."""
        self._run(record, "", ())

    def add(self, records: Iterable[Record]) -> None:
        """Markers that Redis does not know; raises `RedisError`."""
        for record in records:
            if not self._redis.hexists(self._keys.records, record.key):
                self.note(record)

    def add_to_history(self, records: Iterable[Record]) -> None:
        """Deploys that Redis does not know, and that need not be in the timeline; raises `RedisError`."""
        for record in records:
            if record.history is not None and not self._redis.hexists(self._history(record), record.key):
                self._redis.hset(self._history(record), record.key, _written(record))

    def look_again(self, keys: Iterable[str], at: datetime) -> None:
        """Plan a second look at these markers, or have it earlier; raises `RedisError`."""
        if planned := dict.fromkeys(keys, at.timestamp()):
            self._redis.zadd(self._keys.second_looks, planned, lt=True)

    def begin_look(self, key: str, moment: datetime) -> str:
        """Begin the look that is planned at this marker; returns what `looked` takes. Raises `RedisError`.

        Until then it counts as planned for later, so that one that is asked for meanwhile is made.
        """
        planned = (moment + LONGEST_LOOK).timestamp()
        is_planned = self._redis.zadd(self._keys.second_looks, {key: planned}, xx=True, ch=True)
        return repr(planned) if is_planned else ""

    def looked(self, key: str, planned: str, next_at: datetime | None) -> None:
        """The look that `begin_look` began is done; raises `RedisError`."""
        following = "" if next_at is None else str(next_at.timestamp())
        SECOND_LOOK_DONE.run(self._redis, [self._keys.second_looks], [key, planned, following])

    def _history(self, record: Record) -> str:
        name = hashlib.sha256((record.history or "").encode()).hexdigest()[:32]
        return f"{self._keys.history}{name}"

    def _run(
        self, record: Record, written: str, periods: Iterable[Period], look_at: datetime | None = None
    ) -> Surroundings:
        history = self._history(record)
        arguments: list[str | float] = [
            record.key,
            record.at.timestamp(),
            written,
            _number(record.type),
            int(record.history is not None),
            (now() - TIMELINE_LIFETIME).timestamp(),
            "" if look_at is None else look_at.timestamp(),
            *(argument for period in periods for argument in period.arguments()),
        ]
        keys = [self._keys.records, history, self._keys.second_looks, *self._timelines]
        # One text is read much faster than lists of them, and JSON has no line breaks.
        deploys, *near = as_text(NOTE_RECORD.run(self._redis, keys, arguments)).split("\n\n")
        known = self._records(deploys) if record.history is not None else ()
        if len(known) > MOST_DEPLOYS + DELETED_AT_ONCE:
            known = self._without_oldest(history, known)
        found = {each.key: each for kept in near for each in self._records(kept)}
        return Surroundings(known, tuple(found.values()))

    def _records(self, lines: str) -> tuple[Record, ...]:
        """Neighbours read nearly the same ones, and parsing them takes longer than all else here."""
        if len(self._parsed) > MOST_PARSED:
            self._parsed.clear()
        read = (self._parsed.get(each) or self._parse(each) for each in lines.split("\n") if each)
        return tuple(record for record in read if record is not None)

    def _parse(self, written: str) -> Record | None:
        """One that another version has written may not be readable; then it is as if it was not there."""
        try:
            record = Record.model_validate_json(written, context=ALREADY_CLEAN)
        except ValidationError:
            return None
        self._parsed[written] = record
        return record

    def _without_oldest(self, history: str, known: Sequence[Record]) -> tuple[Record, ...]:
        ordered = sorted(known, key=lambda record: record.at)
        self._redis.hdel(history, *(record.key for record in ordered[:-MOST_DEPLOYS]))
        return tuple(ordered[-MOST_DEPLOYS:])


def _number(type_: EventType) -> str:
    """Of the timeline of this type, as the script counts."""
    return str(TYPES.index(type_) + 1)


def _written(record: Record) -> str:
    return record.model_dump_json(exclude_defaults=True)
