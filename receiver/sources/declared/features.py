"""What a declared sender's events become, for the table in the documentation."""

from collections.abc import Iterator

from apitraffic_events.event import EventType
from receiver.events import Effect
from receiver.sources.declared.declaration import END, IGNORE, Marker, Sender, outcomes
from receiver.sources.declared.templates import Words
from receiver.sources.source import Feature


def features_of(sender: Sender) -> Iterator[Feature]:
    for marker in sender.marker:
        for event in marker.events:
            yield from _features_of(marker, event)
    for ignore in sender.ignore:
        for event in ignore.events:
            yield Feature(event, "any" if ignore.when is None else "some", note=ignore.reason)


def _features_of(marker: Marker, event: str) -> Iterator[Feature]:
    """A row for each outcome, with all of the sender's words that lead to it."""
    rows: dict[tuple[str, EventType | None], list[str]] = {}
    for word, effect in outcomes(marker):
        for kind in [None] if effect == IGNORE else _kinds(marker, word):
            rows.setdefault((effect, kind), []).append(word)
    for (effect, kind), words in rows.items():
        when = ", ".join(words)
        note = "" if marker.note == when else marker.note
        if kind is None:
            yield Feature(event, when, note=note)
            continue
        does = Effect.UPDATE if effect == END else Effect(effect)
        in_points: Effect | None = does
        in_spans: Effect | None = None
        if kind is EventType.DEPLOYMENT and does is not Effect.POINT:
            in_points, in_spans = (Effect.POINT if does is Effect.CLOSE else None), does
        note = "ends what is open, makes none" if effect == END else note
        yield Feature(event, when, kind, in_points, in_spans, is_optional=marker.optional, note=note)


def _kinds(marker: Marker, word: str) -> tuple[EventType, ...]:
    """The types that a marker may have if its effect follows from this word."""
    kind = marker.type
    if not isinstance(kind, Words):
        return (EventType(kind.text),)
    if isinstance(marker.effect, Words) and kind.of.text == marker.effect.of.text:
        found = kind.words.get(word, kind.default)
        return (EventType(found),) if found else ()
    return tuple(dict.fromkeys(map(EventType, kind.results)))
