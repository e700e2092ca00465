"""Remembering fewer changes of a marker, with the same meaning as far as possible: pure functions."""

from itertools import pairwise

from receiver.delivery.folding import end_of, is_ended
from receiver.events import Change, Effect


def condensed(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """One change fewer, with the same meaning if possible: two updates in a row become one.

    `changes` are in order. If no two updates follow each other, the second change is dropped: a marker that
    was closed and reopened that often keeps its opening and its latest history. No name of the marker is
    lost, because its event may be listed under any of them.
    """
    for index, (older, newer) in enumerate(pairwise(changes)):
        if _are_mergeable(older, newer):
            merged = _merged(older, newer, after_an_end=is_ended(changes[:index]))
            return (*changes[:index], merged, *changes[index + 2 :])
    return (_with_names_of(changes[0], changes[1]), *changes[2:])


def _are_mergeable(older: Change, newer: Change) -> bool:
    if not older.effect is newer.effect is Effect.UPDATE or older.sets != newer.sets:
        return False
    # What calls a marker off or ends it counts at its own moment, and a remark is shown with its own.
    is_alone = any(change.is_final or end_of(change) is not None for change in (older, newer))
    return not is_alone and (older.remark is None or newer.remark is not None)


def _merged(older: Change, newer: Change, *, after_an_end: bool) -> Change:
    """One update that says what both say: the later word, but after an end the first one."""
    said, other = (older.event, newer.event) if after_an_end else (newer.event, older.event)
    update = {
        "metadata": other.metadata | said.metadata,
        "description": said.description or other.description,
        "started_at": older.event.started_at or newer.event.started_at,
    }
    merged = newer.model_copy(update={"event": said.model_copy(update=update)})
    return _with_names_of(merged, older)


def _with_names_of(change: Change, other: Change) -> Change:
    _, *aliases = dict.fromkeys((*change.names, *other.names))
    return change.model_copy(update={"aliases": tuple(aliases)})
