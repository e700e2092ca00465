"""Points in time as senders write them, and as the Events API wants them.

Inside, time is always an aware `datetime` in UTC. The formats read are those that the senders' payloads
hold: ISO 8601 with `Z`, with an offset or with none (then UTC), `2026-01-10 10:05:00 UTC` and
`2026-01-10 10:05:00 +0200` as Ruby prints them, and epoch seconds or milliseconds.
"""

import re
from datetime import UTC, datetime
from typing import Final

RUBY_UTC_SUFFIX: Final = re.compile(r"\s*UTC$")
SPACE_BEFORE_OFFSET: Final = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$)")
LONGEST_TIMESTAMP: Final = 40
MILLISECONDS_FROM: Final = 100_000_000_000
"""An epoch number from here on (1973 in milliseconds, the year 5138 in seconds) counts milliseconds."""


def parse_timestamp(value: object) -> datetime | None:
    """Read a payload's timestamp; `None` if it is not one (missing, empty, another type, out of range)."""
    try:
        if isinstance(value, str):
            return _parse_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
            return datetime.fromtimestamp(seconds, tz=UTC)
        if isinstance(value, datetime):
            return _as_utc(value)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def format_timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`, the form the Events API documents."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now() -> datetime:
    return datetime.now(UTC)


def _parse_text(text: str) -> datetime | None:
    # fromisoformat would read the epoch milliseconds 1712011200123 as a day in the year 1712.
    if not text or len(text) > LONGEST_TIMESTAMP or text.isdecimal():
        return None
    if not text.endswith("Z"):
        text = SPACE_BEFORE_OFFSET.sub("", RUBY_UTC_SUFFIX.sub("+00:00", text))
    return _as_utc(datetime.fromisoformat(text))


def _as_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
