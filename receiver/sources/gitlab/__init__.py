"""GitLab: project and group webhooks.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from apitraffic_events.text import one_line
from receiver.events import Change, Delivery
from receiver.sources.gitlab import deployments as gitlab_deployments
from receiver.sources.gitlab import incidents as gitlab_incidents
from receiver.sources.gitlab import pipelines as gitlab_pipelines
from receiver.sources.gitlab import releases as gitlab_releases
from receiver.sources.gitlab.hook import Hook, Options
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import Payload, object_in, read_json
from receiver.sources.refusals import missing, standard_webhook_refusal
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification, standard_webhook_verification, token_verification
from receiver.sources.source import Feature, Source

TOKEN_VARIABLE: Final = "GITLAB_WEBHOOK_TOKEN"  # noqa: S105 - the variable's name, not its value
SIGNING_VARIABLE: Final = "GITLAB_SIGNING_TOKEN"

LONGEST_EVENT: Final = 100

SAME_EVENT: Final = {
    "work_item": "issue",
    "confidential_issue": "issue",
    "confidential_work_item": "issue",
    "confidential_note": "note",
    "job": "build",
    "resource_access_token": "access_token",
    "resource_deploy_token": "deploy_token",
}
"""Other names that GitLab has for an event, in a header or a body -> the one that is used here."""

NO_MARKER: Final = (
    "push",
    "merge_request",
    "note",
    "emoji",
    "wiki_page",
    "milestone",
    "member",
    "subgroup",
    "project",
    "system",
)

NOT_ITS_OWN: Final = (
    "the body has no object_kind, so that GitLab did not write it by itself; "
    "remove the custom template from the webhook's settings"
)


def verification(headers: Headers, secrets: Secrets, received_at: datetime) -> Verification | None:
    """The signature where one can be checked, and then only that; the token else.

    Without GITLAB_WEBHOOK_TOKEN nothing passes unsigned: that is how signatures are required.

    https://docs.gitlab.com/user/project/integrations/webhooks/#signing-tokens
    """
    signing_tokens = secrets.get(SIGNING_VARIABLE, ())
    if signing_tokens and "webhook-signature" in headers:
        return standard_webhook_verification(headers, signing_tokens, received_at)
    return token_verification(headers.get("x-gitlab-token"), secrets.get(TOKEN_VARIABLE, ()))


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request; only if a signing token is set is a signature looked at."""
    token = headers.get("x-gitlab-token")
    if "webhook-signature" in headers:
        of_token = f"matches no token in {TOKEN_VARIABLE}" if token else "is missing"
        of_signature = standard_webhook_refusal(headers, SIGNING_VARIABLE)
        return f"{of_signature}; or {SIGNING_VARIABLE} is not set, and X-Gitlab-Token {of_token}"
    if not token:
        return missing(
            "X-Gitlab-Token and webhook-signature are",
            "gitlab",
            headers,
            "enter the token again in the webhook's settings; GitLab clears it when the URL changes",
        )
    if token.startswith("whsec_"):
        return (
            "X-Gitlab-Token looks like a signing token, and matches no token in GITLAB_WEBHOOK_TOKEN: "
            f"GitLab should sign with it, and {SIGNING_VARIABLE} should hold it"
        )
    return (
        f"X-Gitlab-Token matches no token in {TOKEN_VARIABLE}; without that variable, only signed requests "
        "are accepted"
    )


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """`webhook-id` (19.0) and `Idempotency-Key` (17.4) are the same on resend, but each hook has its own."""
    hook_name = headers.get("x-gitlab-event", "")
    given = headers.get("webhook-id") or headers.get("idempotency-key")
    content = object_in(body)
    return Delivery(
        source="gitlab",
        id=delivery_id(given, hook_name.encode("utf-8", "surrogateescape") + body),
        event=_event_of(hook_name, Payload(content or {})),
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content,
    )


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    translator = TRANSLATORS.get(delivery.event)
    if delivery.event and translator is None:
        raise Ignored(f"GitLab event {delivery.event!r} is not one that becomes a marker")
    payload = _payload(delivery)
    if translator is None or payload.text("object_kind") is None:
        raise Ignored(NOT_ITS_OWN)
    return translator(Hook(payload, delivery), options)


TRANSLATORS: Final[dict[str, Callable[[Hook, Options], tuple[Change, ...]]]] = {
    "deployment": gitlab_deployments.deployment,
    "pipeline": gitlab_pipelines.pipeline,
    "build": gitlab_pipelines.build,
    "issue": gitlab_incidents.issue,
    "vulnerability": gitlab_incidents.vulnerability,
    **gitlab_releases.TRANSLATORS,
}
"""GitLab's `object_kind` -> what reads it. Every other event is ignored."""

FEATURES: Final = (
    *gitlab_deployments.FEATURES,
    *gitlab_pipelines.FEATURES,
    *gitlab_incidents.FEATURES,
    *gitlab_releases.FEATURES,
    *(Feature(event, "any") for event in NO_MARKER),
)


def _event_of(hook_name: str, payload: Payload) -> str:
    """The body's `object_kind`; a member, subgroup, project or system hook is known by its header only."""
    name = payload.text("object_kind") or hook_name.lower().removesuffix(" hook").replace(" ", "_")
    return one_line(SAME_EVENT.get(name, name), LONGEST_EVENT)


def _payload(delivery: Delivery) -> Payload:
    """A custom template may be any JSON, which is no mistake to keep; what is not JSON is."""
    try:
        return Payload.of(delivery)
    except Untranslatable:
        try:
            read_json(delivery.body)
        except (ValueError, RecursionError):
            pass
        else:
            raise Ignored(NOT_ITS_OWN) from None
        raise


GITLAB: Final = Source(
    name="gitlab",
    title="GitLab",
    secret_variables=(TOKEN_VARIABLE, SIGNING_VARIABLE),
    body_limit=25 * MIB,
    content_types=frozenset({"application/json"}),
    options=Options,
    default_events=("deployment", "release", "feature_flag", "issue"),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
)
