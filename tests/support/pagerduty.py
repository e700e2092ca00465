"""Deliveries as PagerDuty makes them, and all that they become: also which fields count, and remarks."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from receiver.events import Change, Delivery
from receiver.sources.not_translated import Ignored
from receiver.sources.pagerduty import PAGERDUTY
from receiver.sources.source import translate
from tests.support.source_fixtures import body_of

DELIVERY_ID: Final = "6a2c1f7e-3b5d-4c8e-9f10-2d4b6a8c0e12"
RECEIVED_AT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def received(body: bytes, delivery_id: str = DELIVERY_ID) -> Delivery:
    headers = {"content-type": "application/json", "x-webhook-id": delivery_id}
    return PAGERDUTY.receive(headers, body, RECEIVED_AT)


def changes_of(case: str, **options: Any) -> tuple[Change, ...]:
    """What a fixture becomes; each has a delivery id of its own."""
    chosen = PAGERDUTY.options.model_validate({"deployments": "point"} | options)
    return translate(PAGERDUTY, received(body_of("pagerduty", case), case), chosen).changes


def change_of_case(case: str, **options: Any) -> Change:
    (change,) = changes_of(case, **options)
    return change


def outcome(body: bytes, mode: str, **options: Any) -> Any:
    """As `source_fixtures.outcome`, with which fields count and the line for the trail besides."""
    chosen = PAGERDUTY.options.model_validate({"deployments": mode} | options)
    try:
        changes = translate(PAGERDUTY, received(body), chosen).changes
    except Ignored as ignored:
        return {"ignored": ignored.reason}
    return [
        {
            "key": change.key,
            "effect": change.effect.value,
            "occurred_at": change.model_dump(mode="json")["occurred_at"],
            "event": change.event.to_api(),
            **({"sets": list(change.sets)} if change.sets is not None else {}),
            **({"remark": change.remark} if change.remark else {}),
        }
        for change in changes
    ]


def event_of(case: str) -> str:
    """PagerDuty's name for what a fixture tells of; empty for a body of version 2."""
    event: str = json.loads(body_of("pagerduty", case)).get("event", {}).get("event_type", "")
    return event
