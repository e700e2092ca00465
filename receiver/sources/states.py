"""What the words mean that monitoring tools have for the state of an alert or incident."""

import re
from typing import Final

from pydantic import JsonValue

from apitraffic_events.text import one_line
from receiver.events import Effect

OPENING: Final = (
    *("firing", "triggered", "alerting", "open", "opened", "active", "activated", "problem", "down"),
    *("critical", "error", "warning", "warn", "alarm", "in_alarm", "no_data", "nodata", "pending"),
    *("created", "new", "detected", "started", "ongoing", "investigating", "identified", "monitoring"),
    *("acknowledged", "unresolved", "reopened", "degraded", "unhealthy", "renotify", "no_data_alert"),
)
"""Words that mean: it is there now. Datadog's `Re-Triggered` and the like are the same without `re_`."""
CLOSING: Final = (
    *("resolved", "recovered", "ok", "closed", "close", "recovery", "inactive", "deactivated", "normal"),
    *("up", "healthy", "cleared", "ended", "completed", "finished", "done", "fixed", "operational"),
    *("insufficient_data_ok", "postmortem", "expired", "cancelled", "canceled", "deleted"),
)
"""Words that mean: it is over."""
EFFECTS: Final = dict.fromkeys(OPENING, Effect.OPEN) | dict.fromkeys(CLOSING, Effect.CLOSE)
BETWEEN_WORDS: Final = re.compile(r"[\s-]+")
LONGEST_WORD: Final = 50


def word_of(status: str) -> str:
    """In lower case, with underscores: `No Data` is `no_data`."""
    return BETWEEN_WORDS.sub("_", one_line(status, LONGEST_WORD).lower())


def state_of(status: JsonValue) -> Effect | None:
    """Whether this word opens or closes; `None` if it says neither, or is no text."""
    if not isinstance(status, str):
        return None
    word = word_of(status)
    return EFFECTS.get(word) or EFFECTS.get(word.removeprefix("re_"))
