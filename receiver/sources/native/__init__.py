"""Events: this project's own format, for scripts, autoscalers and the CI plugins.

A body is one event or a list of them, in the format of `receiver.sources.event_format`. Who posts here
reads the answer, so it says what is wrong with which event, and nothing is kept for later.
"""

from datetime import datetime
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Delivery, Effect
from receiver.sources import event_format
from receiver.sources.authorization import bearer_token
from receiver.sources.base import (
    MIB,
    Feature,
    Headers,
    Secrets,
    Source,
    SourceOptions,
    Translation,
    delivery_id,
)
from receiver.sources.event_format import EVENT
from receiver.sources.refusals import missing, standard_webhook_refusal
from receiver.sources.signatures import Verification, standard_webhook_verification, token_verification

SECRET_VARIABLE: Final = "EVENTS_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not its value


class Options(SourceOptions):
    """`[events]` in apitraffic.toml."""


def verification(headers: Headers, secrets: Secrets, received_at: datetime) -> Verification | None:
    """A signature per Standard Webhooks, or a bearer token, which does not rescue a wrong signature."""
    configured = secrets.get(SECRET_VARIABLE, ())
    if "webhook-signature" in headers:
        return standard_webhook_verification(headers, configured, received_at)
    return token_verification(bearer_token(headers), configured)


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    if "webhook-signature" in headers:
        return standard_webhook_refusal(headers, SECRET_VARIABLE)
    if not headers.get("authorization"):
        return missing(
            "webhook-signature and Authorization are",
            "events",
            headers,
            "sign, or send the secret as a bearer token",
        )
    if bearer_token(headers) is None:
        return "Authorization is malformed: it should be Bearer, one space and the secret"
    return f"the bearer token matches no secret in {SECRET_VARIABLE}"


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """Without an id the body identifies a delivery, so that a script that tries again does no harm."""
    return Delivery(
        source="events",
        id=delivery_id(headers.get("webhook-id") or headers.get("idempotency-key"), body),
        event=EVENT,
        headers=dict(headers),
        body=body,
        received_at=received_at,
    )


def translate(delivery: Delivery, _options: Options) -> Translation:
    """The right ones of the events; raises `Invalid` if there are none."""
    return event_format.translate(delivery, event_format.parse(delivery.body))


FEATURES: Final = (
    *(
        Feature(EVENT, f"type {kind.value}", kind, Effect.POINT)
        for kind in (EventType.DEPLOYMENT, EventType.CONFIG_CHANGE, EventType.SCALE, EventType.CUSTOM)
    ),
    Feature(EVENT, "type incident", EventType.INCIDENT, Effect.OPEN),
    *(
        Feature(EVENT, f"type {kind.value}, effect {effect.value}", kind, effect, note=note)
        for kind, effect, note in (
            (EventType.DEPLOYMENT, Effect.OPEN, "any type alike"),
            (EventType.INCIDENT, Effect.UPDATE, "any type alike; only what is given changes"),
            (EventType.INCIDENT, Effect.CLOSE, "any type alike; endedAt alone says it too"),
            (EventType.INCIDENT, Effect.REOPEN, "any type alike"),
        )
    ),
)


NATIVE: Final = Source(
    name="events",
    title="Events",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    content_types=frozenset({"application/json"}),
    options=Options,
    default_events=(EVENT,),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
    answers_with_keys=True,
)
