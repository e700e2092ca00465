"""PagerDuty, webhooks V3: https://developer.pagerduty.com/docs/webhooks-overview

One delivery is one event. What happened is told by `event.event_type`; the shape of `event.data` follows
from `event.data.type`, and only some of the incident events carry the incident itself.
"""

import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.pagerduty.wording import (
    REMARKS,
    actor,
    incident_name,
    merged_into,
    names,
    remark,
    what_happened,
)
from receiver.sources.payload import Payload, object_in
from receiver.sources.refusals import malformed_digest, missing
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification, pagerduty_verification
from receiver.sources.source import Feature, Source, SourceOptions

SECRET_VARIABLE: Final = "PAGERDUTY_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not its value
SOURCE_NAME: Final = "pagerduty"
RESOLVED: Final = "resolved"
MERGED: Final = "merged"

Urgency = Literal["high", "low"]


class Options(SourceOptions):
    """`[pagerduty]` in apitraffic.toml.

    An incident that one of these leaves out makes no marker. Where it had one (its urgency was lowered, it
    was moved to another service), its resolution still ends that.
    """

    urgencies: Annotated[tuple[Urgency, ...], Field(min_length=1)] = get_args(Urgency)
    services: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Shell patterns of the services' names or ids."""


INCIDENT_EFFECTS: Final = {
    "incident.triggered": Effect.OPEN,
    "incident.acknowledged": Effect.UPDATE,
    "incident.unacknowledged": Effect.UPDATE,
    "incident.escalated": Effect.UPDATE,
    "incident.reassigned": Effect.UPDATE,
    "incident.delegated": Effect.UPDATE,
    "incident.priority_updated": Effect.UPDATE,
    "incident.service_updated": Effect.UPDATE,
    "incident.incident_type.changed": Effect.UPDATE,
    "incident.resolved": Effect.CLOSE,
    "incident.reopened": Effect.REOPEN,
}
"""Events that carry the whole incident -> what they do to its marker."""

WITHOUT_MARKER: Final = {
    "incident.custom_field_values.updated": "custom fields are not shown",
    "incident.conference_bridge.updated": "conference details are not for a chart",
    "incident.responder.added": "who was asked to help is not shown",
    "incident.responder.replied": "who was asked to help is not shown",
    "incident.role.assigned": "incident roles are not shown",
    "incident.task.created": "tasks are not shown",
    "incident.task.updated": "tasks are not shown",
    "incident.task.completed": "tasks are not shown",
    "incident.action_invocation.created": "automation actions are not shown",
    "incident.action_invocation.updated": "automation actions are not shown",
    "incident.action_invocation.terminated": "automation actions are not shown",
    "incident.workflow.started": "incident workflows are not shown",
    "incident.workflow.completed": "incident workflows are not shown",
    "service.created": "it is about a service's settings, not about an incident",
    "service.updated": "it is about a service's settings, not about an incident",
    "service.deleted": "it is about a service's settings, not about an incident",
    "service.custom_field_values.updated": "it is about a service's settings, not about an incident",
}
"""Events that make no marker -> why not."""

VERSION_2: Final = re.compile(rb'\s*\{\s*"messages"\s*:')
VERSION_2_AGENT: Final = "PagerDuty-Webhook/V2"
PING: Final = "pagey.ping"

WHEN_LEFT_OUT: Final = ("name", "description", "metadata", "ended_at")
"""What the resolution of an incident that is left out counts for: it ends a marker and never makes one."""
WHEN_RESOLVED_ALREADY: Final = ("name", "metadata")
"""What a change to a resolved incident counts for: standing for the opening, it would never be closed."""
OF_A_REMARK: Final = ("metadata",)


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    """https://developer.pagerduty.com/docs/verifying-webhook-signatures"""
    return pagerduty_verification(headers.get("x-pagerduty-signature"), secrets.get(SECRET_VARIABLE, ()))


def explain_refusal(headers: Headers, body_start: bytes) -> str:
    """Why `verify` may have refused this request.

    V2 webhooks are not signed, and their body is a list of messages.
    """
    header = headers.get("x-pagerduty-signature", "").strip()
    if not header and (VERSION_2.match(body_start) or VERSION_2_AGENT in headers.get("user-agent", "")):
        return (
            "this looks like PagerDuty V2, which does not sign and is not accepted: "
            "add a V3 webhook (Integrations, Generic Webhooks (v3)) and delete this one"
        )
    if not header:
        return missing(
            "X-PagerDuty-Signature is",
            "pagerduty",
            headers,
            "V3 webhooks always send it; does a proxy remove it?",
        )
    digests = [part.strip(" \t").removeprefix("v1=") for part in header.split(",") if "v1=" in part] or [""]
    problems = [malformed_digest("X-PagerDuty-Signature", "v1=", digest) for digest in digests]
    if all(problems):
        return str(problems[0])
    return (
        f"X-PagerDuty-Signature matches no secret in {SECRET_VARIABLE}: each webhook has its own, used as "
        "PagerDuty shows it, although it looks like base64; or something on the way changes the body"
    )


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """`X-Webhook-Id` is the same on every attempt to deliver."""
    content = object_in(body)
    payload = Payload(content or {})
    return Delivery(
        source="pagerduty",
        id=delivery_id(headers.get("x-webhook-id") or payload.text("event.id"), body),
        event=payload.text("event.event_type") or "",
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content,
    )


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    payload = Payload.of(delivery)
    event = delivery.event
    if not event:
        raise _not_of_version_3(payload)
    if event == PING:
        raise Ignored("ping from PagerDuty: the receiver is set up correctly")
    if effect := INCIDENT_EFFECTS.get(event):
        return (incident(payload, delivery, options, effect),)
    if event in REMARKS:
        return (remarked(payload, delivery),)
    if why := WITHOUT_MARKER.get(event):
        raise Ignored(f"{event} makes no marker: {why}; the webhook's event subscription can leave it out")
    raise Ignored(f"PagerDuty event {event!r} is not one that becomes a marker")


def incident(payload: Payload, delivery: Delivery, options: Options, effect: Effect) -> Change:
    shape = payload.text("event.data.type")
    if shape not in {None, "incident"}:
        raise Untranslatable(f"event.data.type is {shape!r}, and {delivery.event} should carry an incident")
    key = f"pagerduty:{payload.require_identifier('event.data.id')}"
    occurred_at = payload.time("event.occurred_at") or delivery.received_at
    sets: tuple[str, ...] | None = None
    if why := _why_left_out(payload, options):
        if effect is not Effect.CLOSE:
            raise Ignored(why)
        effect, sets = Effect.UPDATE, WHEN_LEFT_OUT
    elif effect is Effect.UPDATE and payload.text("event.data.status") == RESOLVED:
        sets = WHEN_RESOLVED_ALREADY
    return change_of(
        delivery,
        key=key,
        effect=effect,
        occurred_at=occurred_at,
        sets=sets,
        type=EventType.INCIDENT,
        name=incident_name(payload),
        description=what_happened(delivery.event, payload, occurred_at),
        source=SOURCE_NAME,
        metadata=_metadata(payload, delivery.event),
        started_at=payload.time("event.data.created_at") or occurred_at,
        ended_at=occurred_at if delivery.event == "incident.resolved" else None,
    )


def remarked(payload: Payload, delivery: Delivery) -> Change:
    """A note may come before or after any other event of its incident, and knows neither number nor start."""
    incident_id = payload.require_identifier("event.data.incident.id")
    text = remark(delivery.event, payload)
    if text is None:
        raise Ignored(f"{delivery.event} makes no line in the trail: it has no text")
    return change_of(
        delivery,
        key=f"pagerduty:{incident_id}",
        effect=Effect.UPDATE,
        occurred_at=payload.time("event.occurred_at") or delivery.received_at,
        sets=OF_A_REMARK,
        remark=text,
        type=EventType.INCIDENT,
        name=payload.text("event.data.incident.summary") or f"Incident {incident_id}",
        source=SOURCE_NAME,
        metadata=present(incident_id=incident_id, url=payload.url("event.data.incident.html_url")),
    )


FEATURES: Final = (
    *(
        Feature(event, "any", EventType.INCIDENT, effect, note="opens if the trigger never arrived")
        if effect is Effect.UPDATE
        else Feature(event, "any", EventType.INCIDENT, effect)
        for event, effect in INCIDENT_EFFECTS.items()
        if effect is not Effect.CLOSE
    ),
    Feature("incident.resolved", "by a person or monitoring", EventType.INCIDENT, Effect.CLOSE),
    Feature(
        "incident.resolved", "merged", EventType.INCIDENT, Effect.CLOSE, note="says that it is no recovery"
    ),
    *(
        Feature(event, "any", EventType.INCIDENT, Effect.UPDATE, note="a line below the description")
        for event in REMARKS
    ),
    *(Feature(event, "any", note=why) for event, why in WITHOUT_MARKER.items()),
    Feature(PING, "any", note="answered"),
)


def _not_of_version_3(payload: Payload) -> Ignored | Untranslatable:
    if payload.value("event") is None and isinstance(payload.value("messages"), list):
        return Ignored(
            "this is a V2 webhook, which is not read; add a V3 one: Integrations, Generic Webhooks (v3)"
        )
    return Untranslatable("event.event_type is missing from the payload")


def _why_left_out(payload: Payload, options: Options) -> str | None:
    """What these options do not know the word for is let in."""
    urgency = payload.text("event.data.urgency")
    if urgency in get_args(Urgency) and urgency not in options.urgencies:
        return f"its urgency is {urgency}; [pagerduty] urgencies in apitraffic.toml leaves it out"
    title, identifier = payload.text("event.data.service.summary"), payload.text("event.data.service.id")
    called = [name for name in (title, identifier) if name]
    if called and not any(fnmatchcase(name, pattern) for name in called for pattern in options.services):
        return f"its service is {called[0]}; [pagerduty] services in apitraffic.toml leaves it out"
    return None


def _metadata(payload: Payload, event: str) -> dict[str, JsonValue]:
    into = merged_into(payload)
    status = payload.text("event.data.status")
    if event == "incident.resolved":
        status = MERGED if into else RESOLVED
    return present(
        incident_id=payload.identifier("event.data.id"),
        incident_number=payload.identifier("event.data.number"),
        incident_type=payload.text("event.data.incident_type.name"),
        service=payload.text("event.data.service.summary"),
        service_id=payload.text("event.data.service.id"),
        service_url=payload.url("event.data.service.html_url"),
        severity=payload.text("event.data.priority.summary", "event.data.urgency"),
        urgency=payload.text("event.data.urgency"),
        status=status,
        assignees=names(payload, "event.data.assignees"),
        teams=names(payload, "event.data.teams"),
        escalation_policy=payload.text("event.data.escalation_policy.summary"),
        actor=actor(payload),
        url=payload.url("event.data.html_url"),
        merged_into=into.id if into else None,
        merged_into_number=into.number if into else None,
        merged_into_title=into.title if into else None,
        merged_into_url=into.url if into else None,
    )


PAGERDUTY: Final = Source(
    name="pagerduty",
    title="PagerDuty",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    content_types=frozenset({"application/json"}),
    options=Options,
    default_events=(*INCIDENT_EFFECTS, *REMARKS, *WITHOUT_MARKER, PING),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
)
