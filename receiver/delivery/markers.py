"""What the receiver knows of one event in the API: `key -> {sid, what was sent, the changes known}`."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from apitraffic_events.event import Event
from receiver.delivery.folding import condensed, in_order
from receiver.events import Change

MOST_CHANGES: Final = 50
"""Changes of one marker that are remembered; if there are more, they are condensed."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker.

    `sid` and `sent` are what the API has, as far as is known. `is_in_doubt` says that an attempt to create or
    update the event has begun and its result is not known: the API may have carried it out.
    `unanswered_since` is when a request began that got no answer at all: the API may still be carrying it
    out.
    """

    key: str
    changes: tuple[Change, ...] = ()
    sid: str | None = None
    sent: Event | None = None
    is_in_doubt: bool = False
    unanswered_since: datetime | None = None

    def with_change(self, *added: Change) -> Self:
        changes = in_order((*self.changes, *added))
        while len(changes) > MOST_CHANGES:
            changes = condensed(changes)
        return replace(self, changes=changes)
