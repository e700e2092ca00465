"""What a delivery means under a configuration: its source translates it, then the routes apply. No I/O."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from receiver.events import Delivery
from receiver.routing import Route, route_all
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import Source, SourceOptions, Translation, translate

Meaning = Translation | Ignored | Untranslatable
"""At least one change, or why there is none."""


def translate_and_route(
    source: Source[Any], delivery: Delivery, options: SourceOptions, routes: Sequence[Route]
) -> Meaning:
    """Raises `Invalid` if the sender is to be told what is wrong."""
    try:
        translation = translate(source, delivery, options)
    except (Ignored, Untranslatable) as reason:
        return reason.with_traceback(None)
    changes = route_all(translation.changes, routes)
    if not changes:
        return Ignored("a [[route]] in apitraffic.toml says to skip it")
    return replace(translation, changes=changes)
