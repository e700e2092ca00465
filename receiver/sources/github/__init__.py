"""GitHub: repository, organisation and App webhooks.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from datetime import datetime
from typing import Final
from urllib.parse import parse_qs

from receiver.events import Change, Delivery
from receiver.sources.github import alerts as github_alerts
from receiver.sources.github import changes as github_changes
from receiver.sources.github import deployments as github_deployments
from receiver.sources.github import dispatch as github_dispatch
from receiver.sources.github import incidents as github_incidents
from receiver.sources.github import releases as github_releases
from receiver.sources.github import workflows as github_workflows
from receiver.sources.github.payload import DEFAULT_EVENTS, Options, Translator
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.refusals import malformed_digest, missing
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification, github_verification
from receiver.sources.source import Feature, Source

SECRET_VARIABLE: Final = "GITHUB_WEBHOOK_SECRET"  # noqa: S105 - the variable's name, not its value
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


MOST_ESCAPES: Final = 1_000_000
"""Of a form's %XX: each costs time, and a deployment's form has a few thousand."""


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    return github_verification(headers.get("x-hub-signature-256"), secrets.get(SECRET_VARIABLE, ()))


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    signature = headers.get("x-hub-signature-256")
    if not signature and headers.get("x-hub-signature"):
        return (
            "X-Hub-Signature-256 is missing and X-Hub-Signature, which is SHA-1, is not accepted: "
            "GitHub sends both, so something on the way removes one, or the sender is not GitHub"
        )
    if not signature:
        return missing(
            "X-Hub-Signature-256 is",
            "github",
            headers,
            "enter the secret in the webhook's settings on GitHub",
        )
    prefix, _, digest = signature.partition("=")
    problem = malformed_digest("X-Hub-Signature-256", "sha256=", digest if prefix == "sha256" else "")
    return problem or (
        f"X-Hub-Signature-256 matches no secret in {SECRET_VARIABLE}, "
        "or something on the way changes the body"
    )


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """`X-GitHub-Delivery` is the same on redelivery and for every hook that gets the same event."""
    return Delivery(
        source="github",
        id=delivery_id(headers.get("x-github-delivery"), body),
        event=headers.get("x-github-event", ""),
        headers=dict(headers),
        body=body,
        received_at=received_at,
    )


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    if not delivery.event:
        raise Untranslatable("the header X-GitHub-Event is missing; does a proxy remove it?")
    translator = TRANSLATORS.get(delivery.event)
    if translator is None:
        note = next((feature.note for feature in FEATURES if feature.event == delivery.event), "")
        why = f": {note}" if note else ""
        raise Ignored(f"GitHub event {delivery.event!r} is not one that becomes a marker{why}")
    return translator(_payload(delivery), delivery, options)


def ping(payload: Payload, _delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """Sent when a hook is created; answering it well is all there is to do."""
    raise Ignored(
        f"ping of hook {payload.identifier('hook_id') or 'unknown'}: the receiver is set up correctly"
    )


TRANSLATORS: Final[dict[str, Translator]] = {
    "ping": ping,
    **github_deployments.TRANSLATORS,
    **github_releases.TRANSLATORS,
    **github_workflows.TRANSLATORS,
    **github_incidents.TRANSLATORS,
    **github_alerts.TRANSLATORS,
    **github_changes.TRANSLATORS,
    **github_dispatch.TRANSLATORS,
}
"""GitHub's event name -> what reads it. Every other event is ignored."""

FEATURES: Final = (
    Feature("ping", "any", note="answered"),
    *github_deployments.FEATURES,
    *github_releases.FEATURES,
    *github_workflows.FEATURES,
    *github_incidents.FEATURES,
    *github_alerts.FEATURES,
    *github_changes.FEATURES,
    *github_dispatch.FEATURES,
)


def _payload(delivery: Delivery) -> Payload:
    if not delivery.headers.get("content-type", JSON).lower().startswith(FORM):
        return Payload.from_json(delivery.body)
    if delivery.body.count(b"%") > MOST_ESCAPES:
        raise Untranslatable("the form is too large; let the webhook send application/json")
    try:
        form = parse_qs(delivery.body.decode("ascii"), max_num_fields=10, errors="strict")
    except ValueError as error:
        raise Untranslatable("the body is not the form that GitHub sends") from error
    if "payload" not in form:
        raise Untranslatable("the form has no field named payload")
    return Payload.from_json(form["payload"][0])


GITHUB: Final = Source(
    name="github",
    title="GitHub",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=25 * MIB,
    content_types=frozenset({JSON, FORM}),
    options=Options,
    default_events=DEFAULT_EVENTS,
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
)
