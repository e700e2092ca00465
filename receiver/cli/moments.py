"""Points in time as people type them."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

from receiver.timestamps import now, parse_timestamp

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO: Final = re.compile(r"(?P<number>\d{1,5})(?P<unit>[smhdw])", re.ASCII)
DAYS_AGO: Final = {"today": 0, "yesterday": 1}


class Moment(click.ParamType[datetime]):
    """A point in time, or how long ago it was; days begin at midnight UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value == "now":
            return now()
        if value in DAYS_AGO:
            midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
            return midnight - timedelta(days=DAYS_AGO[value])
        if ago := AGO.fullmatch(value):
            return now() - timedelta(**{UNITS[ago["unit"]]: int(ago["number"])})
        moment = parse_timestamp(value)
        if moment is None:
            self.fail(
                f"{value!r} is no time; write 2026-01-10T10:05:00Z, 2026-01-10, 90m, 2h, 3d or yesterday."
            )
        return moment
