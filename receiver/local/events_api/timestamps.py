"""Timestamps in the API's form: ISO 8601 in UTC with milliseconds, such as `2023-12-01T10:30:00.000Z`.

In this form they sort as text, which the store relies on. The receiver has a module of the same name. It is
not used here, because a stand-in that shared code with the client would share its mistakes, too.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def now() -> str:
    """Return the current time in the API's form."""
    return format_timestamp(datetime.now(UTC))


def before(seconds: float) -> str:
    """Return the time so many seconds ago in the API's form."""
    return format_timestamp(datetime.now(UTC) - timedelta(seconds=seconds))


def format_timestamp(moment: datetime) -> str:
    """Return an aware datetime in the API's form, truncated to milliseconds."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def normalise_timestamp(text: str) -> str:
    """Return an ISO 8601 timestamp with any offset in the API's form.

    Raises ValueError with a message for the client.
    """
    if not RFC_3339.fullmatch(text):
        raise ValueError(
            "must be an ISO 8601 timestamp with an offset such as 2023-12-01T10:30:00.000Z"
            " (in a query string a + is written %2B)"
        )
    try:
        return format_timestamp(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a valid date and time in the years 1 to 9999 UTC") from error
