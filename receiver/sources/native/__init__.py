"""Events: this project's own format, for scripts, autoscalers and the CI plugins.

A body is one event or a list of them, in the format of `receiver.sources.event_format`. Who posts here
reads the answer, so it says what is wrong with which event, and nothing is kept for later.
"""

from datetime import datetime
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Delivery, Effect
from receiver.sources import event_format
from receiver.sources.base import (
    MIB,
    PATH_TOKEN,
    Feature,
    Headers,
    Secrets,
    Source,
    SourceOptions,
    Translation,
    delivery_id,
)
from receiver.sources.event_format import EVENT
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.refusals import missing, standard_webhook_refusal
from receiver.sources.signatures import Verification, matches_any, standard_webhook_verification

SECRET_VARIABLE: Final = "EVENTS_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not its value
BRANDS: Final = ("webhook", "svix")
"""How the names of the headers of a signature begin."""


class Options(SourceOptions):
    """`[events]` in apitraffic.toml."""


def verification(headers: Headers, secrets: Secrets, received_at: datetime) -> Verification | None:
    """A signature per Standard Webhooks, or a token, which does not rescue a wrong signature.

    A wrong token in the path is not rescued by a right signature either.
    """
    configured = secrets.get(SECRET_VARIABLE, ())
    if brand := _brand(headers):
        if PATH_TOKEN in headers and not matches_any(headers[PATH_TOKEN], configured):
            return None
        return standard_webhook_verification(headers, configured, received_at, brand)
    return presented_token_verification(headers, configured)


def _brand(headers: Headers) -> str | None:
    """How the names of the headers begin that a signature is in; `None` if there is none."""
    return next((brand for brand in BRANDS if f"{brand}-signature" in headers), None)


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    if brand := _brand(headers):
        return standard_webhook_refusal(headers, SECRET_VARIABLE, brand)
    if not headers.get("authorization") and not headers.get(PATH_TOKEN):
        return missing(
            "webhook-signature and Authorization are",
            "events",
            headers,
            "sign, or send the secret as a bearer token, as Basic's password or at the end of the path",
        )
    return presented_token_refusal(headers, "events", SECRET_VARIABLE, "")


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """Without an id the body identifies a delivery, so that a script that tries again does no harm."""
    return Delivery(
        source="events",
        id=delivery_id(
            headers.get("webhook-id") or headers.get("svix-id") or headers.get("idempotency-key"), body
        ),
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
    takes_token_in_path=True,
    answers_with_keys=True,
)
