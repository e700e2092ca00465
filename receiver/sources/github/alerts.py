"""GitHub's security alerts as incidents, if the configuration asks for them. Only the kind of a leaked secret
is copied.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#dependabot_alert
https://docs.github.com/en/webhooks/webhook-events-and-payloads#secret_scanning_alert
"""

from datetime import datetime
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import names_in_repository
from receiver.sources.github.payload import SOURCE_NAME, Options, Translator, repository_facts, since, told
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature

DEPENDABOT: Final = "dependabot_alert"
SECRET_SCANNING: Final = "secret_scanning_alert"  # noqa: S105 - an event's name

ACTIONS: Final = {
    DEPENDABOT: {
        "created": (Effect.OPEN, "Found"),
        "reopened": (Effect.REOPEN, "Reopened"),
        "auto_reopened": (Effect.REOPEN, "Reopened"),
        "reintroduced": (Effect.REOPEN, "Found again"),
        "fixed": (Effect.CLOSE, "Fixed"),
        "dismissed": (Effect.CLOSE, "Dismissed"),
        "auto_dismissed": (Effect.CLOSE, "Dismissed by a rule"),
    },
    SECRET_SCANNING: {
        "created": (Effect.OPEN, "Found"),
        "reopened": (Effect.REOPEN, "Reopened"),
        "publicly_leaked": (Effect.UPDATE, "Found where everybody can read it"),
        "resolved": (Effect.CLOSE, "Resolved"),
    },
}
"""Event -> action -> what it does to the marker, and how that is said; every other action is ignored."""

SEVERITIES: Final = {"low": 1, "medium": 2, "moderate": 2, "high": 3, "critical": 4}


LEAKED: Final = "critical"
"""The severity of every leaked secret; GitHub names none."""


def dependabot_alert(payload: Payload, delivery: Delivery, options: Options) -> tuple[Change, ...]:
    effect, said = _step(payload, DEPENDABOT)
    severity = payload.text("alert.security_advisory.severity", "alert.security_vulnerability.severity")
    # What GitHub gives no severity that is known here is drawn: it may be the worst of all.
    if SEVERITIES.get(severity or LEAKED, SEVERITIES[LEAKED]) < SEVERITIES[options.alert_severity]:
        raise Ignored(
            f"an alert of severity {severity!r} is below [github] alert_severity = "
            f'"{options.alert_severity}" in apitraffic.toml'
        )
    package = payload.text("alert.dependency.package.name")
    advisory = payload.text("alert.security_advisory.ghsa_id")
    patched = payload.text("alert.security_vulnerability.first_patched_version.identifier")
    if effect is Effect.CLOSE:
        remark = payload.text("alert.dismissed_comment")
    else:
        remark = f"First fixed in {package} {patched}." if package and patched else None
    return _alert(
        payload,
        delivery,
        DEPENDABOT,
        effect,
        said,
        severity=severity,
        title=payload.text("alert.security_advisory.summary") or advisory or package,
        reason=payload.text("alert.dismissed_reason"),
        remark=remark,
        metadata=present(
            package=package,
            manifest=payload.text("alert.dependency.manifest_path"),
            advisory=advisory,
            cve=payload.text("alert.security_advisory.cve_id"),
        ),
    )


def secret_scanning_alert(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """Neither the secret nor anybody's comment is read: people write secrets into comments."""
    effect, said = _step(payload, SECRET_SCANNING)
    kind = payload.text("alert.secret_type_display_name", "alert.secret_type")
    is_public = effect is Effect.UPDATE or payload.flag("alert.publicly_leaked") is True
    noun = "publicly leaked secret" if is_public else "leaked secret"
    return _alert(
        payload,
        delivery,
        SECRET_SCANNING,
        effect,
        said,
        severity=LEAKED,
        title=f"{noun} ({kind})" if kind else noun,
        reason=payload.text("alert.resolution"),
        remark=None,
        metadata=present(
            secret_type=payload.text("alert.secret_type"), publicly_leaked=True if is_public else None
        ),
    )


TRANSLATORS: Final[dict[str, Translator]] = {
    DEPENDABOT: dependabot_alert,
    SECRET_SCANNING: secret_scanning_alert,
}

FEATURES: Final = (
    *(
        Feature(
            event,
            action,
            EventType.INCIDENT,
            effect,
            is_optional=True,
            note="from [github] alert_severity up" if event == DEPENDABOT else "counts as critical",
        )
        for event, actions in ACTIONS.items()
        for action, (effect, _) in actions.items()
    ),
    *(Feature(event, "any other") for event in ACTIONS),
    Feature("repository_vulnerability_alert", "any", note="dependabot_alert is its successor"),
)


def _step(payload: Payload, event: str) -> tuple[Effect, str]:
    action = payload.require_text("action")
    if action not in ACTIONS[event]:
        raise Ignored(f"{event} {action!r} changes no marker")
    return ACTIONS[event][action]


def _alert(
    payload: Payload,
    delivery: Delivery,
    event: str,
    effect: Effect,
    said: str,
    *,
    severity: str | None,
    title: str | None,
    reason: str | None,
    remark: str | None,
    metadata: dict[str, JsonValue],
) -> tuple[Change, ...]:
    action = payload.require_text("action")
    repository = payload.require_text("repository.full_name")
    number = payload.require_identifier("alert.number")
    created_at = payload.time("alert.created_at")
    occurred_at = _occurred_at(payload, effect, action) or delivery.received_at
    actor = payload.text("alert.dismissed_by.login", "alert.resolved_by.login", "sender.login")
    has_ended = effect is Effect.CLOSE
    is_open = payload.text("alert.state") in {"open", None}
    lasted = since(created_at, occurred_at) if has_ended else None
    change = change_of(
        delivery,
        **names_in_repository(payload, delivery, event, number),
        effect=effect,
        occurred_at=occurred_at,
        # What is over already is not to be opened by it.
        sets=("name", "description") if effect is Effect.UPDATE and not is_open else None,
        lasted=lasted,
        type=EventType.INCIDENT,
        name=_name(repository, number, severity, title),
        description=told(
            f"{said} as {reason.replace('_', ' ')}" if has_ended and reason else said,
            taken=lasted,
            actor=actor if has_ended else None,
            remark=remark,
        ),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            incident_number=number,
            severity=severity,
            actor=actor,
            url=payload.url("alert.html_url", "repository.html_url"),
            status=payload.text("alert.state") or action,
        )
        | metadata,
        started_at=created_at or occurred_at,
        ended_at=occurred_at if has_ended else None,
    )
    return (change,)


def _occurred_at(payload: Payload, effect: Effect, action: str) -> datetime | None:
    """GitHub names its times after its actions: fixed_at, dismissed_at, auto_dismissed_at, resolved_at."""
    if effect is Effect.OPEN:
        return payload.time("alert.created_at")
    if effect is Effect.CLOSE:
        return payload.time(f"alert.{action}_at", "alert.updated_at")
    return payload.time("alert.updated_at")


def _name(repository: str, number: str, severity: str | None, title: str | None) -> str:
    alert = f"{severity.capitalize()} alert" if severity else "Alert"
    return f"{alert} in {repository}: {title or f'#{number}'}"
