"""Points in time as people type them."""

from datetime import datetime
from typing import Any

import click

from receiver.timestamps import read_moment


class Moment(click.ParamType[datetime]):
    """A point in time, or how long ago it was; days begin at midnight UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        moment = read_moment(value)
        if moment is None:
            self.fail(
                f"{value!r} is no time; write 2026-01-10T10:05:00Z, 2026-01-10, 90m, 2h, 3d or yesterday."
            )
        return moment
