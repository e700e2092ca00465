"""Changes of one marker, made in one line: `change("close", 5, name="Done")` is of five past ten."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from apitraffic_events.event import Event, EventType
from receiver.events import Change, DeliveryReference, Effect

TEN: Final = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
KEY: Final = "github:acme/shop:deployment:4242"
_numbers = count(1)


def at(minutes: float) -> datetime:
    return TEN + timedelta(minutes=minutes)


def event(name: str = "Deploy acme/shop v2.3.1 to production", **fields: Any) -> Event:
    return Event.model_validate({"type": EventType.DEPLOYMENT, "name": name} | fields)


def change(
    effect: str,
    minutes: float = 0,
    *,
    delivery: str | None = None,
    source: str = "github",
    delivery_event: str = "deployment_status",
    key: str = KEY,
    sets: tuple[str, ...] | None = None,
    remark: str | None = None,
    **fields: Any,
) -> Change:
    """Each is of a delivery of its own unless one is named."""
    return Change(
        key=key,
        effect=Effect(effect),
        occurred_at=at(minutes),
        event=event(**fields),
        sets=sets,
        remark=remark,
        delivery=DeliveryReference(
            source=source, id=delivery or f"delivery {next(_numbers)}", event=delivery_event
        ),
    )
