"""The table of what each event of each sender becomes, for the documentation: `make docs` writes it.

A test compares it with the file, and every source's tests compare its rows with what its fixtures become.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from receiver.events import Effect
from receiver.sources import SOURCES
from receiver.sources.source import Feature, Source

WORDS = {
    Effect.POINT: "a point",
    Effect.OPEN: "opens",
    Effect.UPDATE: "updates",
    Effect.CLOSE: "closes",
    Effect.REOPEN: "reopens",
}

HEAD = """\
# What becomes a marker

`make docs` generates this page from the sources' own tables; the tests compare them with recorded payloads.

*Point* and *span* are the two ways to draw a deploy (`deployments` in apitraffic.toml); if both are the
same, there is one entry. Events without a type are answered with 200 and make no marker. Events marked
*opt-in* make none unless apitraffic.toml asks for them: `[<source>] events = ["…"]` names the events you
want, as shell patterns, instead of the default ones.
"""


PRESETS = """\
# Presets

Senders without code of their own: [presets](senders/presets.md). An event is a shell pattern of what
the preset calls its events.
"""


def document(presets: Iterable[Source[Any]]) -> str:
    """docs/events.md, whole."""
    sections = (line for source in SOURCES.values() for line in _section(source))
    further = (line for source in presets for line in _section(source))
    return "\n".join([HEAD, *sections, PRESETS, *further])


def _section(source: Source[Any]) -> Iterator[str]:
    yield f"## {source.title}: `/webhooks/{source.name}`\n"
    yield "| event | action or state | type | effect | |"
    yield "| --- | --- | --- | --- | --- |"
    for feature in source.features:
        kind = feature.type.value if feature.type else ""
        remarks = ", ".join(part for part in ("opt-in" if feature.is_optional else "", feature.note) if part)
        yield f"| `{feature.event}` | {feature.when} | {kind} | {_effect(feature)} | {remarks} |"
    yield ""


def _effect(feature: Feature) -> str:
    if feature.type is None:
        return ""
    point = WORDS[feature.effect] if feature.effect else "none"
    if feature.span_effect is None:
        return point
    return f"point: {point}; span: {WORDS[feature.span_effect]}"
