"""Keeping what people have written into an event since we last wrote it, beside our own changes.

The API replaces a description, a name and all metadata as a whole. So what it shows is compared with what was
sent last, line by line and name by name, and only our own differences are made. Pure functions.
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import JsonValue

from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import DESCRIPTION_LIMIT, NAME_LIMIT, one_line, paragraphs
from receiver.insight.annotation import KEYS, VERDICT_LINE, bare_name, word_in

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


def says_another_verdict(desired: Event, *sent: Event | None) -> bool:
    """Whether its verdict is not that of each of these, which we may have sent. It may have none."""
    said = _verdicts_in(desired)
    return any(event is not None and _verdicts_in(event) != said for event in sent)


def _verdicts_in(event: Event) -> list[str]:
    return [line for line in (event.description or "").splitlines() if VERDICT_LINE.fullmatch(line)]


def beside_edits(
    update: EventUpdate, sent: Sequence[Event], desired: Event, stored: StoredEvent
) -> EventUpdate | None:
    """The update without what would undo somebody's edit; `None` if nothing is left of it.

    `update` makes `desired` of what we sent last. After lost answers, that is any of `sent`. `stored` is what
    the API shows now.
    """
    changed: dict[str, Any] = {
        name: value
        for name, value in update.model_dump(exclude=EDITED, exclude_unset=True).items()
        # After a lost answer, the update has all fields. Of these, only somebody else can have changed some.
        if any(getattr(event, name) != getattr(desired, name) for event in sent)
    }
    if "name" in update.model_fields_set:
        changed["name"] = _name(sent, desired.name, stored.name)
    if "description" in update.model_fields_set:
        changed["description"] = _description(sent, desired.description or "", stored.description or "")
    if "metadata" in update.model_fields_set:
        changed["metadata"] = _metadata(sent, desired, stored)
    changed = {
        name: value for name, value in changed.items() if name not in EDITED or value != getattr(stored, name)
    }
    return EventUpdate.model_validate(changed) if changed else None


def _name(sent: Sequence[Event], desired: str, stored: str) -> str:
    """A name that somebody has given stays, but not the word of a verdict in it that is not so any more."""
    if bare_name(one_line(stored, NAME_LIMIT)) in {bare_name(desired), *(bare_name(e.name) for e in sent)}:
        return desired
    word, ours = word_in(stored), {word_in(event.name) for event in sent}
    if not word or word not in ours:
        return stored
    return one_line(bare_name(stored), NAME_LIMIT - len(word_in(desired))) + word_in(desired)


def _description(sent: Sequence[Event], desired: str, stored: str) -> str:
    """What is shown, without our lines that are not to be there any more, and with the new ones that there is
    room for.
    """
    shown = paragraphs(stored)
    if shown in {desired, *(event.description or "" for event in sent)}:
        return desired
    before, after = [(event.description or "").splitlines() for event in sent], desired.splitlines()
    gone = {line for lines in before for line in lines} - {*after}
    text = "\n".join(line for line in stored.splitlines() if paragraphs(line) not in gone)
    for line in after:
        # What was surely shown and is not any more, somebody has removed.
        if line in shown.splitlines() or all(line in lines for lines in before):
            continue
        longer = f"{text}\n{line}" if text else line
        text = longer if len(longer) <= DESCRIPTION_LIMIT else text
    return text


def _metadata(sent: Sequence[Event], desired: Event, stored: StoredEvent) -> dict[str, JsonValue]:
    """What is shown, with our differences. What somebody has changed stays, unless only we know it."""
    merged = dict(stored.metadata)
    for name in {name for event in (*sent, desired) for name in event.metadata}:
        before, value = [event.metadata.get(name) for event in sent], desired.metadata.get(name)
        is_ours = name in KEYS or stored.metadata.get(name) in before
        if not is_ours or all(known == value for known in before):
            continue
        if name in desired.metadata:
            merged[name] = value
        else:
            merged.pop(name, None)
    if MARKER_KEY in desired.metadata:
        merged[MARKER_KEY] = desired.metadata[MARKER_KEY]
    return merged
