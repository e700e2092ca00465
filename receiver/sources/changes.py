"""The change that a delivery makes, with the metadata that every event has."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from apitraffic_events.event import Event
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from receiver.events import Change, Delivery, Effect, marker_key


def change_of(
    delivery: Delivery,
    *,
    key: str,
    effect: Effect,
    occurred_at: datetime,
    aliases: tuple[str, ...] = (),
    claims: tuple[str, ...] = (),
    former_keys: tuple[str, ...] = (),
    sequence: int = 0,
    sets: tuple[str, ...] | None = None,
    remark: str | None = None,
    lasted: timedelta | None = None,
    is_authoritative: bool = False,
    is_final: bool = False,
    is_indirect: bool = False,
    heard_at: datetime | None = None,
    lapses_after: timedelta | None = None,
    **event: Any,
) -> Change:
    """A change made by this delivery; `event` holds the fields of its `Event`, without `marker_metadata`."""
    name = marker_key(key)
    event["metadata"] = {**event.get("metadata", {}), **marker_metadata(name, delivery)}
    return Change(
        key=name,
        aliases=aliases,
        claims=claims,
        former_keys=former_keys,
        effect=effect,
        occurred_at=occurred_at,
        sequence=sequence,
        event=Event(**event),
        sets=sets,
        remark=remark,
        lasted=lasted,
        is_authoritative=is_authoritative,
        is_final=is_final,
        is_indirect=is_indirect,
        heard_at=heard_at,
        lapses_after=lapses_after,
        is_undated=occurred_at == delivery.received_at,
        delivery=delivery.reference(),
    )


def marker_metadata(key: str, delivery: Delivery) -> dict[str, JsonValue]:
    """The metadata that every event has: its marker's key and the id of its delivery."""
    return {"marker_key": key, "delivery_id": one_line(delivery.id, METADATA_TEXT_LIMIT)}


def present(**metadata: JsonValue) -> dict[str, JsonValue]:
    """Metadata without missing values."""
    return {key: value for key, value in metadata.items() if value not in (None, "")}


def labelled(labels: Mapping[str, str], places: Mapping[str, tuple[str, ...]]) -> dict[str, JsonValue]:
    """Metadata from labels; `places` says which labels may hold each fact, the first that is there counts."""
    facts = {
        name: next((labels[each] for each in others if each in labels), None)
        for name, others in places.items()
    }
    return present(**facts)
