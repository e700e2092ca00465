"""Jenkins: the Notification, Outbound WebHook and CloudEvents plugins.

https://plugins.jenkins.io/notification/ https://plugins.jenkins.io/outbound-webhook/
https://plugins.jenkins.io/cloudevents/

None of them signs. A token in the Authorization header or in the path is all that they can be told to send.
"""

from contextlib import suppress
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from apitraffic_events.text import one_line
from receiver.events import Change, Delivery
from receiver.sources.jenkins.builds import build_key, job_name, pull_request_of
from receiver.sources.jenkins.deploys import FEATURES, deploy
from receiver.sources.jenkins.options import Options
from receiver.sources.jenkins.phases import PHASES, effect_of
from receiver.sources.not_translated import Ignored, NotTranslated, Untranslatable
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification
from receiver.sources.source import Source

CLOUD_EVENT_PREFIX: Final = "org.jenkinsci."


SECRET_VARIABLE: Final = "JENKINS_WEBHOOK_TOKEN"  # noqa: S105 - the variable's name, not its value


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    return presented_token_verification(headers, secrets.get(SECRET_VARIABLE, ()))


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    advice = "add one of them in the plugin's settings"
    return presented_token_refusal(headers, "jenkins", SECRET_VARIABLE, advice)


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """There is no delivery id: the same phase of the same build with the same result is the same delivery.

    The result belongs to it, since a pipeline may announce its end itself and fail afterwards.
    """
    event, identity = _cloud_event(headers.get("ce-type", "")), body
    content: dict[str, JsonValue] | None = None
    with suppress(Untranslatable):
        content = _payload_in(body).content
        told, payload = _event_and_facts(Payload(content))
        event = event or told
        result = payload.text("build.status")
        told_of = " ".join(part for part in (build_key(payload), event, result) if part)
        identity = told_of.encode("utf-8", "surrogatepass")
    return Delivery(
        source="jenkins",
        id=delivery_id(None, identity),
        event=event,
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content,
    )


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    phase = PHASES.get(delivery.event)
    if delivery.event and phase is None:
        raise Ignored(f"Jenkins event {delivery.event!r} is not one that becomes a marker")
    content = delivery.content
    _, payload = _event_and_facts(
        Payload(content) if isinstance(content, dict) else _payload_in(delivery.body)
    )
    if phase is None:
        raise _why_unknown(payload)
    job = job_name(payload)
    if not options.deploys(job):
        raise Ignored(
            f"job {one_line(job, 150)!r} is not one that deploys; "
            "if it does, add it to [jenkins] jobs in apitraffic.toml"
        )
    if pull_request_of(job) and not options.pull_requests:
        raise Ignored(
            f"job {one_line(job, 150)!r} builds a pull request; "
            "if it deploys, set pull_requests = true in [jenkins] in apitraffic.toml"
        )
    effect = effect_of(phase, is_span=options.deployments == "span")
    if effect is None:
        raise Ignored(f"phase {delivery.event!r} makes no marker: {phase.value}")
    return (deploy(payload, delivery, options, job, effect),)


def _cloud_event(cloud_event_type: str) -> str:
    """Without the prefix that all of the plugin's types have."""
    return one_line(cloud_event_type, VALUE_LIMIT).removeprefix(CLOUD_EVENT_PREFIX)


def _payload_in(body: bytes) -> Payload:
    """Raises `Untranslatable` for all but a JSON object."""
    if body.lstrip().startswith(b"<"):
        raise Untranslatable("the body is XML; choose JSON as the format of the job's notification endpoint")
    return Payload.from_json(body)


def _event_and_facts(payload: Payload) -> tuple[str, Payload]:
    """The event that a body is about, and what it says of it.

    The CloudEvents plugin names the event in a header, but a broker on the way may put all into an envelope.
    """
    data = payload.value("data")
    if payload.text("specversion") and isinstance(data, dict):
        return _cloud_event(payload.text("type") or ""), Payload(data)
    return (payload.text("build.phase", "event") or "").lower(), payload


def _why_unknown(payload: Payload) -> NotTranslated:
    """What to raise if the body names no event."""
    if payload.value("configFile") is not None:
        # Holds a job's whole configuration, perhaps with secrets, and so must not be kept either.
        return Ignored("a job's configuration is not one that becomes a marker")
    return Untranslatable(
        "build.phase is missing from the payload, and event too; is it the Notification, Outbound WebHook "
        "or CloudEvents plugin that sends it?"
    )


JENKINS: Final = Source(
    name="jenkins",
    title="Jenkins",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    content_types=frozenset({"application/json", "application/cloudevents+json"}),
    options=Options,
    default_events=tuple(PHASES),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
    takes_token_in_path=True,
)
