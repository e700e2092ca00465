"""GitLab's Issue hooks, as far as they report incidents, and its Vulnerability hooks."""

import re
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, TypedDict

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.gitlab.hook import PROJECT_PAGE, SOURCE_NAME, Hook, Options, by_whom
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import duration


class Step(Enum):
    """What happened to an incident."""

    OPENED = "Opened"
    DECLARED = "Labelled as an incident"
    REOPENED = "Reopened"
    UPDATED = "Updated"
    WITHDRAWN = "No longer labelled as an incident"
    CLOSED = "Closed"


EFFECTS: Final = {
    Step.OPENED: Effect.OPEN,
    Step.DECLARED: Effect.REOPEN,
    Step.REOPENED: Effect.REOPEN,
    Step.UPDATED: Effect.UPDATE,
    Step.WITHDRAWN: Effect.UPDATE,
    Step.CLOSED: Effect.CLOSE,
}
"""To reopen what was never opened opens it; a label may be given, taken and given again."""

SETS: Final = {Step.UPDATED: ("name",), Step.WITHDRAWN: ("description", "ended_at")}
"""What updates know. They make no marker: of an incident from before the receiver was, its end is told."""

ACTIONS: Final = {
    "open": Step.OPENED,
    "reopen": Step.REOPENED,
    "update": Step.UPDATED,
    "close": Step.CLOSED,
}
STATES: Final = {"opened": Step.OPENED, "closed": Step.CLOSED}
"""What counts where there is no action: changes that GitLab makes itself do not name one."""

TIMES: Final = {
    Step.OPENED: ("created_at", "updated_at"),
    Step.CLOSED: ("closed_at", "updated_at"),
}
"""Where it says when; for all else, where it says when it was last changed."""

REMARKABLE: Final = {"severity": "severity", "escalation_status": "escalation"}
"""Changes that matter at night, and how they are called."""

VULNERABILITY_PAGE: Final = re.compile(r".*/-/security/vulnerabilities/(\d{1,20})")
SEVERITIES: Final = ("info", "unknown", "low", "medium", "high", "critical")
"""Of vulnerabilities, the least first."""

VULNERABILITY_STATES: Final = {
    "detected": Effect.OPEN,
    "confirmed": Effect.OPEN,
    "resolved": Effect.CLOSE,
    "dismissed": Effect.CLOSE,
}


def issue(hook: Hook, options: Options) -> tuple[Change, ...]:
    """An incident: a work item of one of `incident_types`, or any with one of `incident_labels`."""
    payload = hook.payload
    step = _step_of(payload, options)
    identifier = payload.require_identifier("object_attributes.id")
    title = payload.require_text("object_attributes.title")
    number = payload.identifier("object_attributes.iid")
    severity = _known(payload.text("object_attributes.severity"))

    created_at = payload.time("object_attributes.created_at")
    fields = TIMES.get(step, ("updated_at",))
    occurred_at = payload.time(*(f"object_attributes.{field}" for field in fields))
    occurred_at = occurred_at or hook.delivery.received_at
    words = (f"#{number}" if number else None, title, f"({severity})" if severity else None)
    change = change_of(
        hook.delivery,
        key=hook.key("issue", identifier),
        effect=EFFECTS[step],
        occurred_at=occurred_at,
        sets=SETS.get(step),
        remark=_remark(hook) if step is Step.UPDATED else None,
        type=EventType.INCIDENT,
        name=" ".join(word for word in words if word),
        description=_outcome(hook, step, created_at, occurred_at),
        source=SOURCE_NAME,
        metadata=hook.owner_metadata()
        | present(
            url=payload.url("object_attributes.url", "project.web_url"),
            status=payload.text("object_attributes.state"),
            severity=severity,
            escalation_status=payload.text("object_attributes.escalation_status"),
            incident_id=identifier,
            incident_number=number,
            confidential=payload.flag("object_attributes.confidential"),
        ),
        started_at=occurred_at if step is Step.DECLARED else created_at or occurred_at,
        ended_at=occurred_at if step in {Step.CLOSED, Step.WITHDRAWN} else None,
    )
    return (change,)


def vulnerability(hook: Hook, options: Options) -> tuple[Change, ...]:
    """It has neither an id nor an action nor a project: the address of its page stands for all of them."""
    payload = hook.payload
    state = payload.require_text("object_attributes.state")
    effect = VULNERABILITY_STATES.get(state)
    if effect is None:
        raise Ignored(f"vulnerability state {state!r} is not known here")
    severity = _severe_enough(payload, options)
    url = payload.require_text("object_attributes.url")
    title = payload.require_text("object_attributes.title")
    page = PROJECT_PAGE.fullmatch(url)

    created_at = payload.time("object_attributes.created_at")
    occurred_at = payload.time("object_attributes.updated_at", "object_attributes.created_at")
    occurred_at = occurred_at or hook.delivery.received_at
    if effect is Effect.OPEN and created_at and occurred_at > created_at:
        # Confirmed, or found once more after it had been dismissed: nothing but the time tells.
        effect = Effect.REOPEN
    after = f" after {duration(occurred_at - created_at)}" if effect is Effect.CLOSE and created_at else ""
    change = change_of(
        hook.delivery,
        **_names_of_vulnerability(hook, url),
        effect=effect,
        occurred_at=occurred_at,
        type=EventType.INCIDENT,
        name=f"{severity.capitalize()} vulnerability{f' in {page[2]}' if page else ''}: {title}",
        description=f"{state.capitalize()}{after}.",
        source=SOURCE_NAME,
        metadata=present(
            repository=page[2] if page else None,
            repository_url=page[1] if page else None,
            url=payload.url("object_attributes.url"),
            status=state,
            severity=severity,
            scanner=payload.text("object_attributes.report_type"),
        ),
        started_at=created_at or occurred_at,
        ended_at=occurred_at if effect is Effect.CLOSE else None,
    )
    return (change,)


FEATURES: Final = (
    Feature(
        "issue",
        "open",
        EventType.INCIDENT,
        Effect.OPEN,
        note="work items of type Incident, and issues with one of incident_labels; confidential ones too",
    ),
    Feature("issue", "reopen", EventType.INCIDENT, Effect.REOPEN),
    Feature("issue", "update", EventType.INCIDENT, Effect.UPDATE, note="title and severity"),
    Feature("issue", "close", EventType.INCIDENT, Effect.CLOSE),
    Feature("issue", "incident label added", EventType.INCIDENT, Effect.REOPEN, note="opens it"),
    Feature("issue", "incident label removed", EventType.INCIDENT, Effect.UPDATE, note="ends it if open"),
    Feature("issue", "open, though closed", note="GitLab's Test button sends that"),
    Feature("issue", "any, no incident"),
    Feature("vulnerability", "detected", EventType.INCIDENT, Effect.OPEN, is_optional=True),
    Feature(
        "vulnerability", "confirmed, or detected again", EventType.INCIDENT, Effect.REOPEN, is_optional=True
    ),
    *(
        Feature("vulnerability", word, EventType.INCIDENT, Effect.CLOSE, is_optional=True)
        for word in ("resolved", "dismissed")
    ),
    Feature("vulnerability", "any, below vulnerability_severity", is_optional=True),
)


def _step_of(payload: Payload, options: Options) -> Step:
    """Raises `Ignored` for what is no incident, or in no state that reports one."""
    is_incident = _is_of_type(payload, options) or _names_incident(_labels(payload), options)
    was_labelled = _names_incident(_titles(payload, "changes.labels.previous"), options)
    if not is_incident and not was_labelled:
        raise Ignored(_why_no_incident(payload, options))
    state = payload.text("object_attributes.state")
    action = payload.text("object_attributes.action")
    if not action and not state:
        payload.require_text("object_attributes.action")
    step = ACTIONS.get(action) if action else STATES.get(state or "")
    if step is None:
        raise Ignored(f"issue action {action!r} in state {state!r} is not known here")
    if step in {Step.OPENED, Step.REOPENED} and state == "closed":
        raise Ignored(f"the issue's action is {action!r} but its state is 'closed': GitLab's Test button?")
    if not is_incident and step is not Step.CLOSED:
        return Step.WITHDRAWN
    is_labelled = _names_incident(_titles(payload, "changes.labels.current"), options)
    is_new = is_labelled and not was_labelled and not _is_of_type(payload, options)
    return Step.DECLARED if is_new and step is Step.UPDATED and state != "closed" else step


def _outcome(hook: Hook, step: Step, created_at: datetime | None, occurred_at: datetime) -> str:
    word = step.value
    if step is Step.CLOSED:
        if hook.payload.identifier("object_attributes.moved_to_id"):
            return by_whom("Not resolved but moved to another project", hook.actor())
        if hook.payload.identifier("object_attributes.duplicated_to_id"):
            return by_whom("Not resolved but closed as a duplicate", hook.actor())
        if created_at:
            word = f"Closed after {duration(occurred_at - created_at)}"
    return by_whom(word, hook.actor())


def _remark(hook: Hook) -> str | None:
    said = ", ".join(
        f"{word} is now {now}"
        for field, word in REMARKABLE.items()
        if (now := hook.payload.text(f"changes.{field}.current"))
    )
    actor = hook.actor()
    return f"{actor}: {said}" if said and actor else said or None


def _is_of_type(payload: Payload, options: Options) -> bool:
    kind = payload.text("object_attributes.type")
    return kind is not None and _matches(kind, options.incident_types)


def _labels(payload: Payload) -> tuple[str, ...]:
    return _titles(payload, "labels") or _titles(payload, "object_attributes.labels")


def _titles(payload: Payload, path: str) -> tuple[str, ...]:
    return tuple(title for label in payload.objects(path) if (title := label.text("title")))


def _names_incident(labels: tuple[str, ...], options: Options) -> bool:
    return any(_matches(label, options.incident_labels) for label in labels)


def _matches(word: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(word.casefold(), pattern.casefold()) for pattern in patterns)


def _why_no_incident(payload: Payload, options: Options) -> str:
    kind = payload.text("object_attributes.type") or "Issue"
    number = payload.identifier("object_attributes.iid") or "?"
    labels = ", ".join(options.incident_labels) or "which is empty"
    types = ", ".join(options.incident_types) or "which is empty"
    return (
        f"#{number} is no incident: its type {kind!r} is not in incident_types ({types}) and it has none "
        f"of incident_labels ({labels}); both are in [gitlab] in apitraffic.toml"
    )


def _known(severity: str | None) -> str | None:
    return None if severity is None or severity.lower() == "unknown" else severity.lower()


class _Names(TypedDict):
    key: str
    former_keys: tuple[str, ...]


def _names_of_vulnerability(hook: Hook, url: str) -> _Names:
    """By the id in its address: the rest changes if the project is renamed. Version 0.1 used all of it."""
    whole = hook.key("vuln", url)
    page = VULNERABILITY_PAGE.fullmatch(url)
    if page is None:
        return {"key": whole, "former_keys": ()}
    return {"key": hook.key("vulnerability", page[1]), "former_keys": (whole,)}


def _severe_enough(payload: Payload, options: Options) -> str:
    """The vulnerability's severity; raises `Ignored` where it is below the least that is drawn."""
    severity = (payload.text("object_attributes.severity") or "unknown").lower()
    if severity not in SEVERITIES:
        raise Ignored(f"vulnerability severity {severity!r} is not known here")
    least = options.vulnerability_severity
    if SEVERITIES.index(severity) < SEVERITIES.index(least):
        raise Ignored(
            f"a vulnerability of severity {severity!r} is below vulnerability_severity = {least!r} "
            "in [gitlab] in apitraffic.toml"
        )
    return severity
