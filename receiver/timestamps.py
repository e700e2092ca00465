"""Points in time as people and assistants write them."""

import re
from datetime import datetime, timedelta
from typing import Final

from apitraffic_events.timestamps import now, parse_timestamp

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO: Final = re.compile(r"(?P<number>\d{1,5})(?P<unit>[smhdw])", re.ASCII)
DAYS_AGO: Final = {"today": 0, "yesterday": 1}


def read_moment(text: str) -> datetime | None:
    """ISO 8601, how long ago (`90m`, `2h`, `3d`), `now`, `today` or `yesterday` (midnight UTC);
    `None` where it is none of them.
    """
    if text == "now":
        return now()
    if text in DAYS_AGO:
        midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=DAYS_AGO[text])
    if ago := AGO.fullmatch(text):
        return now() - timedelta(**{UNITS[ago["unit"]]: int(ago["number"])})
    return parse_timestamp(text)
