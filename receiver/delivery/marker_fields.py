"""How a marker is written in Redis: the fields of its hash."""

from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter

from apitraffic_events.event import ALREADY_CLEAN, Event
from apitraffic_events.timestamps import format_timestamp, parse_timestamp
from receiver.datastore.replies import as_text
from receiver.delivery.markers import Marker
from receiver.events import Change
from receiver.insight.annotation import Insight

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
