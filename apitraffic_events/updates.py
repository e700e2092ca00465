"""Updates that depend on what an event already says: its end, its metadata, its description."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import JsonValue

from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import DESCRIPTION_LIMIT, paragraphs


def closing(event: StoredEvent, ended_at: datetime, note: str | None = None) -> EventUpdate:
    """The update that ends an event. `note` says how it ended and goes below the description."""
    if not note:
        return EventUpdate(ended_at=ended_at)
    return EventUpdate(ended_at=ended_at, description=append_lines(event.description, [note]))


def merge_metadata(event: StoredEvent, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The event's metadata with `given` added. An empty value (`""` or null) removes its name.

    An update replaces all metadata, and the receiver finds its markers by `marker_key` in it.
    """
    removed = {name for name, value in given.items() if value in ("", None)}
    return {name: value for name, value in {**event.metadata, **given}.items() if name not in removed}


def append_lines(description: str | None, lines: Iterable[str]) -> str:
    """`lines` below the description, within `DESCRIPTION_LIMIT` characters.

    If there is not room for both, the description is cut, because the lines are what is new.
    """
    added = paragraphs("\n".join(lines))
    above = paragraphs(description or "")
    room = DESCRIPTION_LIMIT - len(added) - len("\n")
    if len(above) > room:
        above = above[: room - 1].rstrip() + "…" if room > 1 else ""
    return "\n".join(filter(None, (above, added)))
