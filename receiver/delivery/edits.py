"""What people have written into an event since we wrote it: it stays, and what is new is said beside it.

The API replaces a description, a name and all metadata as a whole. So what it shows is compared with what was
sent last, line by line and name by name, and only our own differences are made. Pure functions.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import JsonValue

from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import DESCRIPTION_LIMIT, NAME_LIMIT, one_line, paragraphs
from receiver.insight.annotation import KEYS, bare_name

EDITED: Final = {"name", "description", "metadata"}
"""Fields in which people write beside us."""
MARKER_KEY: Final = "marker_key"
"""By which the event is found if Redis loses its data."""


def is_edited(stored: StoredEvent, *ours: Event) -> bool:
    """Whether the API shows words or facts that are in none of these, which are what we may have sent."""
    return not any(
        bare_name(one_line(stored.name, NAME_LIMIT)) == bare_name(event.name)
        and paragraphs(stored.description or "") == (event.description or "")
        and stored.metadata == event.metadata
        for event in ours
    )


def beside_edits(update: EventUpdate, sent: Event, desired: Event, stored: StoredEvent) -> EventUpdate | None:
    """The update without what would undo somebody's edit; `None` if nothing is left of it.

    `update` makes `desired` of `sent`, what we sent last; `stored` is what the API shows now.
    """
    changed: dict[str, Any] = update.model_dump(exclude=EDITED, exclude_unset=True)
    if "name" in update.model_fields_set and _is_our_name(stored.name, sent, desired):
        changed["name"] = desired.name
    if "description" in update.model_fields_set:
        text = _description(sent.description or "", desired.description or "", stored.description or "")
        changed |= {} if text is None else {"description": text}
    if "metadata" in update.model_fields_set:
        changed["metadata"] = _metadata(sent.metadata, desired.metadata, stored.metadata)
    changed = {
        name: value for name, value in changed.items() if name not in EDITED or value != getattr(stored, name)
    }
    return EventUpdate.model_validate(changed) if changed else None


def _is_our_name(name: str, sent: Event, desired: Event) -> bool:
    """Also with the word of a verdict that was given since."""
    ours = {bare_name(event.name) for event in (sent, desired)}
    return bare_name(one_line(name, NAME_LIMIT)) in ours


def _description(sent: str, desired: str, stored: str) -> str | None:
    """What is shown, without the lines that are not to be there any more, and with those that are new.

    `None` if that is more than there is room for.
    """
    shown = paragraphs(stored)
    if shown in {sent, desired}:
        return desired
    before, after = sent.splitlines(), desired.splitlines()
    kept = [line for line in stored.splitlines() if paragraphs(line) not in {*before} - {*after}]
    new = [line for line in after if line not in before and line not in shown.splitlines()]
    text = "\n".join((*kept, *new))
    return text if len(text) <= DESCRIPTION_LIMIT else None


def _metadata(
    sent: Mapping[str, JsonValue], desired: Mapping[str, JsonValue], stored: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """What is shown, with our differences. What somebody has changed stays, unless only we know it."""
    merged = dict(stored)
    for name in {*sent, *desired}:
        is_ours = name in KEYS or stored.get(name) == sent.get(name)
        if sent.get(name) == desired.get(name) or not is_ours:
            continue
        if name in desired:
            merged[name] = desired[name]
        else:
            merged.pop(name, None)
    if MARKER_KEY in desired:
        merged[MARKER_KEY] = desired[MARKER_KEY]
    return merged
