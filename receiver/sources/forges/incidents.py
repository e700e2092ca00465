"""Issues of Gitea and Forgejo with a label that makes them incidents."""

from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.forges.hook import ForgeOptions, Hook, matches
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Feature
from receiver.wording import duration

CLOSED: Final = "closed"
LABELLED: Final = frozenset({"label_updated", "label_cleared"})
ISSUE_EFFECTS: Final = {
    "opened": Effect.OPEN,
    "reopened": Effect.REOPEN,
    "edited": Effect.UPDATE,
    CLOSED: Effect.CLOSE,
    **dict.fromkeys(LABELLED, Effect.OPEN),
}
"""Of an issue that is open, and an incident."""
WHEN_UNLABELLED: Final = ("name", "description", "metadata", "ended_at")
"""What an issue counts for that is no incident any more: it ends a marker and never makes one."""
MOST_LABELS: Final = 20


def issue(hook: Hook, options: ForgeOptions) -> Change:
    payload = hook.payload
    action = payload.text("action") or ""
    if action not in ISSUE_EFFECTS:
        raise Ignored(f"issues.{action} changes nothing that is shown")
    labels = [label.text("name") or "" for label in payload.objects("issue.labels")]
    removed = [label.text("name") or "" for label in payload.objects("changes.removed_labels")]
    is_incident = matches(labels, options.incident_labels)
    was_incident = matches(removed, options.incident_labels)
    if not is_incident and not was_incident:
        raise Ignored("the issue is no incident: it has none of the incident labels")
    is_over = action == CLOSED or payload.text("issue.state") == CLOSED
    if is_over and (action == "edited" or not is_incident):
        raise Ignored("the issue is closed already")
    return _incident(hook, [*labels], is_over=is_over, is_none_any_more=not is_incident)


def _incident(hook: Hook, labels: list[JsonValue], *, is_over: bool, is_none_any_more: bool) -> Change:
    payload, delivery = hook.payload, hook.delivery
    action = payload.text("action") or ""
    number = payload.identifier("issue.number") or payload.identifier("number")
    opened_at = payload.time("issue.created_at") or delivery.received_at
    changed_at = payload.time("issue.updated_at") or delivery.received_at
    closed_at = payload.time("issue.closed_at") or changed_at
    title = payload.text("issue.title") or "Issue"
    ends_at = closed_at if is_over else changed_at if is_none_any_more else None
    description = None
    if is_over:
        description = f"Resolved after {duration(closed_at - opened_at)}."
    elif is_none_any_more:
        description = "No incident any more: its label was removed."
    effect = ISSUE_EFFECTS[action]
    if is_over:
        effect = Effect.CLOSE
    elif is_none_any_more:
        effect = Effect.UPDATE
    return change_of(
        delivery,
        key=hook.key("issue", payload.require_identifier("issue.id")),
        effect=effect,
        occurred_at=ends_at or (opened_at if action == "opened" else changed_at),
        sets=WHEN_UNLABELLED if is_none_any_more else None,
        lasted=closed_at - opened_at if is_over else None,
        type=EventType.INCIDENT,
        name=f"#{number} {title}" if number else title,
        description=description,
        source=hook.forge,
        # An issue becomes an incident when it is labelled; it may be far older.
        started_at=changed_at if action in LABELLED and not is_over else opened_at,
        ended_at=ends_at,
        metadata=hook.facts()
        | present(
            incident_id=payload.identifier("issue.id"),
            incident_number=number,
            labels=[label for label in labels if label != ""][:MOST_LABELS],
            status="resolved" if ends_at else "open",
            url=payload.url("issue.html_url", "issue.url"),
        ),
    )


FEATURES: Final = (
    Feature("issues", "opened or labelled", EventType.INCIDENT, Effect.OPEN, note="with an incident label"),
    Feature("issues", "edited", EventType.INCIDENT, Effect.UPDATE, note="with an incident label"),
    Feature("issues", "reopened", EventType.INCIDENT, Effect.REOPEN, note="with an incident label"),
    Feature("issues", "closed", EventType.INCIDENT, Effect.CLOSE, note="with an incident label"),
    Feature("issues", "its label removed", EventType.INCIDENT, Effect.UPDATE, note="ends it"),
)
