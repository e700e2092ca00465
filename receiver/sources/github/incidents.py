"""GitHub issues that are incidents: by one of the configured labels, or of the issue type Incident.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#issues
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import names_on_host
from receiver.sources.github.payload import (
    SOURCE_NAME,
    Options,
    Translator,
    matches,
    repository_facts,
    sender,
    since,
    told,
)
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature

INCIDENT_TYPE: Final = "incident"
CLOSING_REASONS: Final = {
    "completed": "Closed as completed",
    "not_planned": "Closed as not planned",
    "duplicate": "Closed as a duplicate",
}


@dataclass(frozen=True, slots=True)
class Incident:
    """What one delivery says of an issue that is, or just was, an incident."""

    payload: Payload
    grounds: str | None
    """The label or type that makes it one; `None` where the last of them went."""
    word: str | None
    """The label or type that this delivery is about, of which GitHub may not say the name."""
    created_at: datetime | None
    changed_at: datetime
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What an action does to the incident's marker: the fields it knows, where it does not know all."""

    effect: Effect
    occurred_at: datetime
    description: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    sets: tuple[str, ...] | None = None
    lasted: timedelta | None = None


def opened(incident: Incident) -> Step:
    began_at = incident.created_at or incident.changed_at
    said = told("Opened", actor=incident.payload.text("issue.user.login", "sender.login"))
    return Step(Effect.OPEN, began_at, said, began_at)


def marked(incident: Incident) -> Step:
    """An issue becomes an incident when it is marked as one; it may be far older.

    A label often comes with the opening, and may come back after it was taken off: both are right as a
    reopening, which opens what is not known.
    """
    if incident.is_closed:
        return closed(incident)
    said = told(f"Marked as {incident.word or incident.grounds!r}", actor=sender(incident.payload))
    return Step(Effect.REOPEN, incident.changed_at, said, incident.changed_at)


def reopened(incident: Incident) -> Step:
    """`closed_at` may still hold the old date."""
    said = told("Reopened", actor=sender(incident.payload))
    began_at = incident.created_at or incident.changed_at
    return Step(Effect.REOPEN, incident.changed_at, said, began_at)


def closed(incident: Incident) -> Step:
    payload = incident.payload
    ended_at = payload.time("issue.closed_at") or incident.changed_at
    reason = payload.text("issue.state_reason") or ""
    is_now = payload.text("action") == "closed"
    lasted = since(incident.created_at, ended_at)
    said = told(
        CLOSING_REASONS.get(reason, "Closed"),
        taken=lasted,
        actor=sender(payload) if is_now else None,
    )
    return Step(Effect.CLOSE, ended_at, said, incident.created_at or ended_at, ended_at, lasted=lasted)


def unmarked(incident: Incident) -> Step:
    if incident.grounds:
        raise Ignored(f"the issue is still an incident: {incident.grounds!r}")
    what = f"{incident.word!r} was removed" if incident.word else "what marked it was removed"
    return _ended(incident, f"No longer an incident: {what}")


def deleted(incident: Incident) -> Step:
    return _ended(incident, "The issue was deleted")


def transferred(incident: Incident) -> Step:
    where = incident.payload.text("changes.new_repository.full_name")
    return _ended(incident, f"The issue was moved to {where}" if where else "The issue was moved")


def edited(incident: Incident) -> Step:
    if incident.payload.text("changes.title.from") is None:
        raise Ignored("of an edited issue only its title counts")
    return Step(Effect.UPDATE, incident.changed_at, sets=("name",))


ACTIONS: Final[dict[str, Callable[[Incident], Step]]] = {
    "opened": opened,
    "labeled": marked,
    "typed": marked,
    "reopened": reopened,
    "closed": closed,
    "unlabeled": unmarked,
    "untyped": unmarked,
    "deleted": deleted,
    "transferred": transferred,
    "edited": edited,
}
ABOUT: Final = {"labeled": "label", "unlabeled": "label", "typed": "type", "untyped": "type"}
"""Which of an issue's properties an action is about; the payload has it at the top."""
GAINED: Final = ("labeled", "typed")
LOST: Final = ("unlabeled", "untyped")
GONE: Final = ("deleted", "transferred")
ADVICE: Final = "incidents have a label of [github] incident_labels in apitraffic.toml, or the type Incident"


def issues(payload: Payload, delivery: Delivery, options: Options) -> tuple[Change, ...]:
    action = payload.require_text("action")
    if action not in ACTIONS:
        raise Ignored(f"issues action {action!r} changes no marker")
    if payload.value("issue.pull_request") is not None:
        raise Ignored("a pull request is no incident")
    incident = _incident(payload, delivery, options, action)
    repository = payload.require_text("repository.full_name")
    issue_id = payload.require_identifier("issue.id")
    step = ACTIONS[action](incident)
    change = change_of(
        delivery,
        **names_on_host(payload, delivery, "issue", issue_id),
        effect=step.effect,
        occurred_at=step.occurred_at,
        sets=step.sets,
        lasted=step.lasted,
        type=EventType.INCIDENT,
        name=_name(payload, repository),
        description=step.description,
        source=SOURCE_NAME,
        metadata=_metadata(payload, action) | present(incident_id=issue_id),
        started_at=step.started_at,
        ended_at=step.ended_at,
    )
    return (change,)


TRANSLATORS: Final[dict[str, Translator]] = {"issues": issues}

FEATURES: Final = (
    Feature("issues", "opened", EventType.INCIDENT, Effect.OPEN, note="with an incident label or type"),
    *(
        Feature("issues", action, EventType.INCIDENT, Effect.REOPEN, note="as an incident")
        for action in GAINED
    ),
    *(
        Feature("issues", f"{action} when closed", EventType.INCIDENT, Effect.CLOSE, note="drawn whole")
        for action in GAINED
    ),
    Feature("issues", "reopened", EventType.INCIDENT, Effect.REOPEN),
    Feature("issues", "closed", EventType.INCIDENT, Effect.CLOSE),
    *(
        Feature("issues", action, EventType.INCIDENT, Effect.UPDATE, note="ends it, makes none")
        for action in (*LOST, *GONE)
    ),
    Feature("issues", "edited", EventType.INCIDENT, Effect.UPDATE, note="its title"),
    Feature("issues", "any other"),
)


def _incident(payload: Payload, delivery: Delivery, options: Options, action: str) -> Incident:
    """Raises `Ignored` where the issue is no incident and this delivery does not say that it was one."""
    kind = ABOUT.get(action)
    word = payload.text(f"{kind}.name") if kind else None
    if kind and word and not _is_telling(kind, word, options):
        raise Ignored(f"the {kind} {word!r} makes no incident; {ADVICE}")
    grounds = [name for name in _grounds(payload, options) if action not in LOST or name != (kind, word)]
    if not grounds and not word and action not in LOST:
        raise Ignored(f"the issue is no incident; {ADVICE}")
    return Incident(
        payload=payload,
        grounds=grounds[0][1] if grounds else None,
        word=word,
        created_at=payload.time("issue.created_at"),
        changed_at=payload.time("issue.updated_at") or delivery.received_at,
        is_closed=payload.text("issue.state") == "closed",
    )


def _grounds(payload: Payload, options: Options) -> Iterator[tuple[str, str]]:
    """Each label and type of the issue that makes it an incident, as ("label", its name)."""
    names = [("label", label.text("name")) for label in payload.objects("issue.labels")]
    for kind, name in (*names, ("type", payload.text("issue.type.name"))):
        if name and _is_telling(kind, name, options):
            yield kind, name


def _is_telling(kind: str, name: str, options: Options) -> bool:
    if kind == "type":
        return name.casefold() == INCIDENT_TYPE
    return matches(name.casefold(), (pattern.casefold() for pattern in options.incident_labels))


def _ended(incident: Incident, what: str) -> Step:
    """Ends a marker that is open and makes none, for what may never have been drawn."""
    said = told(what, actor=sender(incident.payload))
    ended_at = incident.changed_at
    return Step(Effect.UPDATE, ended_at, said, ended_at=ended_at, sets=("description", "ended_at"))


def _name(payload: Payload, repository: str) -> str:
    number = payload.identifier("issue.number")
    title = payload.text("issue.title") or f"Incident in {repository}"
    return f"#{number} {title}" if number else title


def _metadata(payload: Payload, action: str) -> dict[str, JsonValue]:
    labels = [name for label in payload.objects("issue.labels") if (name := label.text("name"))]
    return repository_facts(payload) | present(
        incident_number=payload.identifier("issue.number"),
        labels=", ".join(labels),
        issue_type=payload.text("issue.type.name"),
        actor=sender(payload),
        url=payload.url("issue.html_url", "repository.html_url"),
        status=action if action in (*GONE, *LOST) else payload.text("issue.state"),
    )
