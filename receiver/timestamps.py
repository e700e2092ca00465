"""Times as people and assistants write them, in options of commands and arguments of tools."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from apitraffic_events.timestamps import now, parse_timestamp

FORMS: Final = "2026-01-10T10:05:00Z, 2026-01-10, an age such as 90m, 2h or 3d, now, today or yesterday"
"""All forms that are read, for help texts and error messages. Without an offset a time is in UTC."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier time of a delivery stands for none: `0001-01-01T00:00:00Z` is what Go writes for "not set"."""
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE: Final = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhdw])", re.ASCII)
DAYS_AGO: Final = {"today": 0, "yesterday": 1}


def read_moment(text: str) -> datetime | None:
    """The time in any of the `FORMS`; `None` if it is in none of them.

    `today` and `yesterday` are midnight UTC.
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
    return parse_timestamp(text)
