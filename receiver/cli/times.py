"""Options that take a time."""

from datetime import datetime
from typing import Any

import click

from receiver.timestamps import FORMS, read_moment


class TimeType(click.ParamType[datetime]):
    """Every option that takes a time has this type, so that all of them take the same forms."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        moment = read_moment(value)
        if moment is None:
            self.fail(f"{value!r} is not a time; write {FORMS}.", param, ctx)
        return moment
