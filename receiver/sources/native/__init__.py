"""Events: this project's own format, for scripts, autoscalers and the CI plugins.

A body is one event or a list of them, in the format of `receiver.sources.event_format`, or CloudEvents. Who
posts here reads the answer, so it says what is wrong with which event, and nothing is kept for later.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Delivery, Effect
from receiver.sources import event_format
from receiver.sources.event_format import EVENT
from receiver.sources.native import cdevents, cloudevents
from receiver.sources.not_translated import Ignored, Invalid
from receiver.sources.payload import Payload, object_in
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.refusals import missing, standard_webhook_refusal
from receiver.sources.request import MIB, PATH_TOKEN, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification, matches_any, standard_webhook_verification
from receiver.sources.source import Feature, Source, SourceOptions, Translation

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
    """Without an id the body identifies a delivery, so that a script that tries again does no harm.

    A CloudEvent is identified by its source and id, and named by its type.
    """
    given = headers.get("webhook-id") or headers.get("svix-id") or headers.get("idempotency-key")
    delivery = Delivery(
        source="events",
        id=delivery_id(given, body),
        event=EVENT,
        headers=dict(headers),
        body=body,
        received_at=received_at,
    )
    if cloudevents.is_batch(headers):
        return replace(delivery, event=cloudevents.BATCH_EVENT)
    if not cloudevents.is_cloud_event(headers, content := _object_that_may_be_one(body)):
        return _named_as_cdevent(replace(delivery, content=content), Payload(_object(content)))
    delivery = replace(delivery, content=content)
    try:
        (event,) = cloudevents.read(delivery)
    except Invalid:
        return delivery  # `translate` says what is wrong.
    name = cdevents.event_name(event.type) if cdevents.is_cdevent(event.type) else cloudevents.EVENT
    return replace(delivery, id=cloudevents.delivery_id_of(event.source, event.id), event=name)


def translate(delivery: Delivery, _options: Options) -> Translation:
    """The right ones of the events; raises `Invalid` if there are none."""
    if delivery.event == EVENT and not cloudevents.is_cloud_event(delivery.headers):
        return event_format.translate(delivery, _content(delivery))
    is_cloud_event = cloudevents.is_cloud_event(delivery.headers)
    content = None if is_cloud_event else _content(delivery)
    if not is_cloud_event and not cloudevents.is_cloud_event(delivery.headers, content):
        items = [cdevents.as_event(content)]
    else:
        items = [
            cdevents.as_event(event.data, event.type)
            if cdevents.is_cdevent(event.type)
            else cloudevents.as_events(event)
            for event in cloudevents.read(delivery)
        ]
    wanted: list[JsonValue] = [item for item in items if item is not None]
    if not wanted:
        raise Ignored(f"{delivery.event} makes no marker: nothing is deployed, changed or down")
    return event_format.translate(delivery, wanted)


def _content(delivery: Delivery) -> JsonValue:
    """The body's JSON, parsed unless it has been already; raises `Invalid` if it is none."""
    return event_format.parse(delivery.body) if delivery.content is None else delivery.content


def _object(content: JsonValue) -> dict[str, JsonValue]:
    return content if isinstance(content, dict) else {}


def _object_that_may_be_one(body: bytes) -> JsonValue:
    """The body if it may be a CloudEvent or a CDEvent, without parsing those that are none."""
    return object_in(body) if b"specversion" in body or b"dev.cdevents." in body else None


def _named_as_cdevent(delivery: Delivery, content: Payload) -> Delivery:
    """As a CDEvent, if it is one that is sent as it is, without a CloudEvent around it."""
    kind, origin, identifier = (content.text(f"context.{name}") for name in ("type", "source", "id"))
    if not kind or not cdevents.is_cdevent(kind):
        return delivery
    known = cloudevents.delivery_id_of(origin, identifier) if origin and identifier else delivery.id
    return replace(delivery, id=known, event=cdevents.event_name(kind))


CLOUD_EVENTS: Final = (
    Feature(cloudevents.EVENT, "any type", EventType.CUSTOM, Effect.POINT, note="named after its type"),
    Feature(
        cloudevents.EVENT,
        "its data is an event in the format above",
        EventType.DEPLOYMENT,
        Effect.POINT,
        note="any type and effect alike",
    ),
    Feature(cloudevents.BATCH_EVENT, "any types", EventType.CUSTOM, Effect.POINT, note="each for itself"),
    *(
        Feature(f"dev.cdevents.{name}", "any", EventType.DEPLOYMENT, Effect.POINT)
        for name in cdevents.SERVICES
    ),
    *(
        Feature(f"dev.cdevents.{name}", "any", EventType.INCIDENT, effect)
        for name, effect in cdevents.INCIDENTS.items()
    ),
    *(
        Feature(f"dev.cdevents.{name}", "any", EventType.CONFIG_CHANGE, Effect.POINT)
        for name in cdevents.ENVIRONMENTS
    ),
)

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
    *CLOUD_EVENTS,
)


NATIVE: Final = Source(
    name="events",
    title="Events",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    # Without a content type: so Python's SDK of CloudEvents sends an event that has no datacontenttype.
    content_types=frozenset({"application/json", "", *cloudevents.CONTENT_TYPES}),
    options=Options,
    default_events=(EVENT, cloudevents.EVENT, cloudevents.BATCH_EVENT, "dev.cdevents.*"),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
    takes_token_in_path=True,
    answers_with_keys=True,
)
