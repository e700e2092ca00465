"""What the receiver knows of one event in the API: `key -> {sid, what was sent, the changes known}`.

In Redis it is a hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from pydantic import TypeAdapter

from apitraffic_events.event import ALREADY_CLEAN, Event
from apitraffic_events.timestamps import format_timestamp, parse_timestamp
from receiver.datastore.replies import as_text
from receiver.delivery.condensing import condensed
from receiver.delivery.folding import in_order
from receiver.delivery.outcomes import LISTED
from receiver.events import Change
from receiver.insight.annotation import Insight, with_insight

MOST_CHANGES: Final = 50
"""Changes of one marker that are remembered; if there are more, they are condensed."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker.

    `sid` and `sent` are what the API has, as far as is known. A `sid` without `sent` is of an event that is
    being deleted: before another one is created, its deletion has been answered. `is_in_doubt` says that an
    attempt to create or update the event has begun and its result is not known: the API may have carried it
    out. `unanswered_since` is when a request began, or was answered, that the API may still carry out: there
    was no answer, or one that proves nothing. `looked_at` is when the event was last looked for in vain
    since. The marker of an alert, which has no event, is in doubt while events of its episodes are deleted.
    """

    key: str
    changes: tuple[Change, ...] = ()
    sid: str | None = None
    sent: Event | None = None
    is_in_doubt: bool = False
    unanswered_since: datetime | None = None
    looked_at: datetime | None = None
    insight: Insight | None = None
    """What it says beyond its own changes."""

    @property
    def is_edited(self) -> bool:
        """Whether somebody is known to have changed the event in ApiTraffic."""
        return self.insight is not None and self.insight.is_edited

    @property
    def unanswered(self) -> tuple[Event, ...]:
        """What updates without an answer may have made of the event, as far as that matters."""
        return self.insight.unanswered if self.insight is not None else ()

    def annotated(self, event: Event) -> Event:
        """The event with what the marker says beyond its own changes."""
        return with_insight(event, self.insight) if self.insight is not None else event

    def with_less_said(self, event: Event) -> Self:
        """The same; of its insight, less is written into this event than until now, as far as any was."""
        insight = self.insight
        while insight is not None and with_insight(event, insight) == self.annotated(event) != event:
            insight = insight.with_less()
        return replace(self, insight=insight)

    def settled(self) -> Self:
        """The same, with nothing left that the API may still do."""
        insight = self.insight
        if insight is not None and insight.unanswered:
            insight = insight.model_copy(update={"unanswered": ()})
        return replace(self, is_in_doubt=False, unanswered_since=None, looked_at=None, insight=insight)

    def in_doubt(self, since: datetime | None) -> Self:
        """The same after a request whose result is not known, and which may be carried out after `since`."""
        return replace(self, is_in_doubt=True, unanswered_since=since, looked_at=None)

    def being_deleted(self) -> Self:
        """The same while its event is deleted. The answer may be lost, and the marker be shown again."""
        return replace(self, sent=None, insight=self.insight and self.insight.to_be_noted_again())

    def with_change(self, *added: Change) -> Self:
        changes = in_order((*self.changes, *added))
        while len(changes) > MOST_CHANGES:
            changes = condensed(changes)
        return replace(self, changes=changes)

    def with_only(self, shown: tuple[Change, ...]) -> Self:
        """With these changes in place of those before, and what look-ups have found."""
        listed = (change for change in self.changes if change.delivery.source == LISTED)
        return replace(self, changes=in_order((*listed, *shown)))


FIELDS: Final = ("changes", "sid", "sent", "in_doubt", "unanswered_since", "looked_at", "insight")
CHANGES: Final = TypeAdapter(tuple[Change, ...])


def marker_of(key: str, fields: Sequence[bytes | str | None]) -> Marker:
    """The marker that is stored under this key with these `FIELDS`."""
    changes, sid, sent, in_doubt, unanswered, looked_at, insight = fields
    return Marker(
        key,
        changes=CHANGES.validate_json(changes, context=ALREADY_CLEAN) if changes else (),
        sid=as_text(sid) or None,
        sent=Event.model_validate_json(sent, context=ALREADY_CLEAN) if sent else None,
        is_in_doubt=as_text(in_doubt) == "1",
        unanswered_since=parse_timestamp(as_text(unanswered) or None),
        looked_at=parse_timestamp(as_text(looked_at) or None),
        insight=Insight.model_validate_json(insight, context=ALREADY_CLEAN) if insight else None,
    )


def values_of(marker: Marker) -> tuple[str | bytes | int, ...]:
    """What is stored of it, in the order of `FIELDS`."""
    return (
        CHANGES.dump_json(marker.changes, by_alias=True),
        marker.sid or "",
        marker.sent.model_dump_json(by_alias=True) if marker.sent else "",
        int(marker.is_in_doubt),
        format_timestamp(marker.unanswered_since) if marker.unanswered_since else "",
        format_timestamp(marker.looked_at) if marker.looked_at else "",
        marker.insight.model_dump_json() if marker.insight else "",
    )
