"""Options that take a time, or a length of time."""

from datetime import datetime, timedelta
from typing import Any

import click

from receiver.timestamps import FORMS, read_length, read_moment
from receiver.wording import duration


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


class LengthType(click.ParamType[timedelta]):
    """A length of time between two others, such as 15m."""

    name = "length"

    def __init__(self, shortest: timedelta, longest: timedelta) -> None:
        self._shortest = shortest
        self._longest = longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        length = value if isinstance(value, timedelta) else read_length(value)
        if length is None:
            self.fail(f"{value!r} is not a length of time; write 90s, 15m or 2h.", param, ctx)
        if not self._shortest <= length <= self._longest:
            least, most = duration(self._shortest), duration(self._longest)
            self.fail(f"{value!r} is not between {least} and {most}.", param, ctx)
        return length
