"""Timestamps as the API writes them: ISO 8601, UTC, milliseconds, `2023-12-01T10:30:00.000Z`.

Written this way they also sort as text, which is what the store relies on. The receiver's own module of this
name is not used here: a stand-in that shared its code with the client would share its mistakes too.
"""

import re
from datetime import UTC, datetime
from typing import Final

RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def now() -> str:
    return written(datetime.now(UTC))


def written(moment: datetime) -> str:
    """Give an aware `moment` in the API's form; what is finer than a millisecond is cut off."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def normalised(text: str) -> str:
    """Give an ISO 8601 timestamp of any offset in the API's form.

    Raises ValueError with words for the client.
    """
    if not RFC_3339.fullmatch(text):
        raise ValueError(
            "must be an ISO 8601 timestamp with an offset such as 2023-12-01T10:30:00.000Z"
            " (in a query string a + is written %2B)"
        )
    try:
        return written(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a moment that exists in the years 1 to 9999, UTC") from error
