"""Times as people, assistants and templates write them: options of commands, arguments of tools, events."""

import re
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from apitraffic_events.timestamps import now, parse_timestamp

FORMS: Final = (
    "2026-01-10T10:05:00Z, 2026-01-10, 14:05, an age such as 90m, 2h or 3d, now, today or yesterday"
)
"""All forms that are read, for help texts and error messages. Without an offset a time is in UTC."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier time of a delivery stands for none: `0001-01-01T00:00:00Z` is what Go writes for "not set"."""
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE: Final = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhdw])", re.ASCII)
CLOCK: Final = re.compile(r"\d{2}:\d{2}(?::\d{2})?Z?", re.ASCII)
DAYS_AGO: Final = {"today": 0, "yesterday": 1}
EPOCH: Final = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?", re.ASCII)
"""Seconds since 1970, or milliseconds, microseconds, nanoseconds."""
MICROSECONDS_FROM: Final = 10**14
NANOSECONDS_FROM: Final = 10**17
TOO_LARGE: Final = 10**21
LONGEST_TEXT: Final = 80
ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}[tT ]")
ZONE_AFTER_OFFSET: Final = re.compile(r"(?<=[+-]\d{4})\s+[A-Z+-][A-Z0-9+-]{0,5}(?:\s+M=\S+)?$")
"""In upper case. Go prints a time like this: `2026-01-10 11:05:00 +0100 CET m=+0.1`."""
OF_JAVASCRIPT: Final = re.compile(
    r"[A-Z][a-z]{2} (?P<time>[A-Z][a-z]{2} \d{2} \d{4} \d{2}:\d{2}:\d{2}) GMT(?P<offset>[+-]\d{4})\b"
)
"""`Sat Jan 10 2026 10:05:00 GMT+0000 (Coordinated Universal Time)`."""


def read_moment(text: str) -> datetime | None:
    """The time in any of the `FORMS`; `None` if it is in none of them.

    `today` and `yesterday` are midnight UTC. A time of day is of today, or of yesterday if it
    is still to come today.
    """
    text = text.strip()
    if text == "now":
        return now()
    if text in DAYS_AGO:
        midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=DAYS_AGO[text])
    if age := AGE.fullmatch(text):
        try:
            return now() - timedelta(**{UNITS[age["unit"]]: int(age["number"])})
        except OverflowError:
            return None
    if CLOCK.fullmatch(text):
        return _last_time_of_day(text)
    return parse_timestamp(text)


def read_length(text: str) -> timedelta | None:
    """How long `15m`, `90s` or `1h` is; `None` for any other text."""
    found = AGE.fullmatch(text.strip())
    try:
        return timedelta(**{UNITS[found["unit"]]: int(found["number"])}) if found else None
    except OverflowError:
        return None


def read_written(value: object) -> datetime | None:
    """The time that a template wrote; `None` if it is none.

    Besides what `parse_timestamp` reads: numbers as text, microseconds and nanoseconds, lower-case `t` and
    `z`, and what Go, JavaScript and e-mail print.
    """
    if isinstance(value, str):
        return _read_text(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) >= TOO_LARGE:
            return None
        if abs(value) >= NANOSECONDS_FROM:
            return parse_timestamp(value / 10**6)
        if abs(value) >= MICROSECONDS_FROM:
            return parse_timestamp(value / 1000)
    return parse_timestamp(value)


def _last_time_of_day(text: str) -> datetime | None:
    try:
        clock = time.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None
    moment = datetime.combine(now(), clock, tzinfo=UTC)
    return moment if moment <= now() else moment - timedelta(days=1)


def _read_text(text: str) -> datetime | None:
    if len(text) > LONGEST_TEXT:
        return None
    if EPOCH.fullmatch(text):
        return read_written(float(text) if "." in text else int(text))
    if ISO_DATE.match(text):
        return parse_timestamp(ZONE_AFTER_OFFSET.sub("", text.upper()))
    try:
        if found := OF_JAVASCRIPT.match(text):
            return datetime.strptime(f"{found['time']} {found['offset']}", "%b %d %Y %H:%M:%S %z").astimezone(
                UTC
            )
        return parse_timestamp(parsedate_to_datetime(text) if text[:1].isalpha() else text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
