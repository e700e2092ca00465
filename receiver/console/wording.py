"""How pages write lengths of time, payloads and links, and what they say after something was done."""

import json
from datetime import timedelta
from typing import Final

from receiver.sources.payload import WEB_URL

DONE: Final = {
    "created": "Created. It is on the chart now.",
    "changed": "Changed.",
    "closed": "Closed.",
    "reopened": "It is open again.",
    "deleted": "Deleted.",
    "sent": "The samples were accepted. Their markers appear within a few seconds.",
}
"""What a page says after something was done, by the word in its address."""

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400


def lasted(length: timedelta) -> str:
    """`12 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


def readable(body: bytes) -> str:
    """A payload, indented if it is JSON."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")


def links(text: object) -> str | None:
    """The text if it is a web address. Others (`javascript:…`) could run code when they are opened."""
    return text if isinstance(text, str) and WEB_URL.fullmatch(text) else None
