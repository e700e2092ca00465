"""What the Events page shows, as its address says it, so that the address can be sent to a colleague."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, parse_timestamp

RANGES: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
LONGEST: Final = timedelta(days=31)
SHORTEST: Final = timedelta(seconds=10)
LONGEST_FILTER: Final = 200
TYPES: Final = tuple(kind.value for kind in EventType)


@dataclass(frozen=True, slots=True)
class View:
    """A period and filters. `range` is a key of `RANGES`, or empty if the period is fixed."""

    started_from: datetime
    started_to: datetime
    range: str
    types: tuple[str, ...] = ()
    bucket: str = ""
    environment: str = ""
    source: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: MultiDict[str, str], now: datetime, default_range: str) -> Self:
        """What cannot be read is left out: an address that was mistyped still shows something."""
        started_from, started_to, name = _period(query, now, default_range)
        return cls(
            started_from,
            started_to,
            name,
            types=tuple(kind for kind in TYPES if kind in query.getlist("type")),
            bucket=_filter(query, "bucket"),
            environment=_filter(query, "environment"),
            source=_filter(query, "source"),
            text=_filter(query, "q"),
        )

    @property
    def length(self) -> timedelta:
        return self.started_to - self.started_from

    @property
    def is_live(self) -> bool:
        """Whether the period ends now, whenever that is."""
        return bool(self.range)

    @property
    def has_filters(self) -> bool:
        return bool(self.types or self.bucket or self.environment or self.source or self.text)

    def query(self, **other: str | None) -> str:
        """The address's query, with `other` parameters instead of these; `None` leaves one out."""
        period: dict[str, str | None] = (
            {"range": self.range}
            if self.range
            else {"from": format_timestamp(self.started_from), "to": format_timestamp(self.started_to)}
        )
        if "range" in other:
            period = {}
        single = {
            "bucket": self.bucket,
            "environment": self.environment,
            "source": self.source,
            "q": self.text,
        }
        pairs = [(name, value) for name, value in {**period, **single, **other}.items() if value]
        if "type" not in other:
            pairs += [("type", kind) for kind in self.types]
        return urlencode(pairs)


def _period(query: MultiDict[str, str], now: datetime, default_range: str) -> tuple[datetime, datetime, str]:
    name = query.get("range", "")
    started_from, started_to = parse_timestamp(query.get("from")), parse_timestamp(query.get("to"))
    if name not in RANGES and started_from and started_to and started_to - started_from >= SHORTEST:
        return max(started_from, started_to - LONGEST), started_to, ""
    name = name if name in RANGES else default_range
    return now - RANGES[name], now, name


def _filter(query: MultiDict[str, str], name: str) -> str:
    return one_line(query.get(name, ""), LONGEST_FILTER)
