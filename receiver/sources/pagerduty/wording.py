"""What a PagerDuty incident is called on a chart and what is said of it: functions of a payload."""

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.wording import duration

HALF_A_SECOND: Final = timedelta(seconds=0.5)
"""What is shorter would read "0 s"."""
SHORT: Final = 80
"""Characters of one person's, service's or team's name."""
MOST_NAMES: Final = 10
LONGEST_NUMBER: Final = 20
LONGEST_PRIORITY: Final = 40

ADDRESS: Final = re.compile(r"(\S+)@\S+")
"""A person whose name in PagerDuty is an e-mail address is called by what stands before the @."""
NUMBERED: Final = re.compile(r"\[#(\d{1,20})\]\s*(.*)")
"""How PagerDuty's REST API sums up an incident; its webhooks have the bare title."""
RESOLUTION_NOTE: Final = re.compile(r"resolution note:\s*", re.IGNORECASE)
"""What PagerDuty puts before the note that is written while resolving."""

SENTENCES: Final = {
    "incident.triggered": "Triggered {by} {on_service}",
    "incident.acknowledged": "Acknowledged {by} {after}",
    "incident.unacknowledged": "Acknowledgement ended {by} {after}",
    "incident.escalated": "Escalated {to_assignees} {by} {after}",
    "incident.reassigned": "Reassigned {to_assignees} {by} {after}",
    "incident.delegated": "Delegated {to_policy} {by} {after}",
    "incident.priority_updated": "Priority {set_to_priority} {by} {after}",
    "incident.service_updated": "Moved {to_service} {by} {after}",
    "incident.incident_type.changed": "Incident type changed {to_type} {by} {after}",
    "incident.resolved": "Resolved {by} {after}",
    "incident.reopened": "Reopened {by}",
}
"""PagerDuty's event -> the sentence below the incident's name; a part that is not known leaves no gap."""

REMARKS: Final = {
    "incident.annotated": ("Note", "event.data.content"),
    "incident.status_update_published": ("Status update", "event.data.message"),
}
"""PagerDuty's event of somebody's words about an incident -> what they are and where they stand."""

MERGED: Final = "Merged {into} {by} {after}"
NOT_A_RECOVERY: Final = "Not a recovery: see that incident for the outcome."


class MergedInto(NamedTuple):
    """The incident that goes on in another one's place."""

    id: str | None
    number: str | None
    title: str | None
    url: str | None

    def __str__(self) -> str:
        title = one_line(self.title, SHORT) if self.title else ""
        if self.number:
            return f"#{self.number} {title}".rstrip()
        return f"“{title}”" if title else f"incident {self.id}" if self.id else "another incident"


def incident_name(payload: Payload) -> str:
    """`#1842 Checkout latency above 2 s (P1)`; a long title is cut so that number and priority stay."""
    number = payload.identifier("event.data.number")
    prefix = f"#{one_line(number, LONGEST_NUMBER)} " if number else ""
    suffix = f" ({word})" if (word := _severity_word(payload)) else ""
    title = payload.text("event.data.title") or f"Incident {payload.identifier('event.data.id')}"
    return prefix + one_line(title, NAME_LIMIT - len(prefix) - len(suffix)) + suffix


def what_happened(event: str, payload: Payload, occurred_at: datetime) -> str:
    into = merged_into(payload)
    sentence = (MERGED if into else SENTENCES[event]).format(
        by=_by(payload),
        after=_after(payload, occurred_at),
        into=f"into {into}",
        on_service=_before("on", payload.text("event.data.service.summary")),
        to_service=_before("to service", payload.text("event.data.service.summary")),
        to_assignees=_before("to", names(payload, "event.data.assignees")),
        to_policy=_before("to escalation policy", payload.text("event.data.escalation_policy.summary")),
        to_type=_before("to", payload.text("event.data.incident_type.name")),
        set_to_priority=_before("set to", payload.text("event.data.priority.summary")) or "removed",
    )
    line = " ".join(sentence.split()) + "."
    return f"{line} {NOT_A_RECOVERY}" if into else line


def merged_into(payload: Payload) -> MergedInto | None:
    """The other incident, where this one was resolved just now by merging it."""
    is_resolved = payload.text("event.event_type") == "incident.resolved"
    if not is_resolved or payload.text("event.data.resolve_reason.type") != "merge_resolve_reason":
        return None
    path = "event.data.resolve_reason.incident"
    title = payload.text(f"{path}.summary")
    numbered = NUMBERED.fullmatch(title or "")
    return MergedInto(
        id=payload.identifier(f"{path}.id"),
        number=numbered[1] if numbered else None,
        title=numbered[2] if numbered else title,
        url=payload.url(f"{path}.html_url"),
    )


def remark(event: str, payload: Payload) -> str | None:
    """`Ada Example: rolled back`, of a note or a status update; `None` where it has no text."""
    kind, path = REMARKS[event]
    text = payload.text(path) or ""
    if RESOLUTION_NOTE.match(text):
        kind, text = "Resolution", RESOLUTION_NOTE.sub("", text, count=1)
    if not text:
        return None
    if payload.flag("event.data.trimmed") and not text.endswith("…"):
        text += "…"
    who = actor(payload)
    if who is None:
        return f"{kind}: {text}"
    return f"{who}: {text}" if kind == "Note" else f"{kind} by {who}: {text}"


def actor(payload: Payload) -> str | None:
    """Who or what did it; `None` for PagerDuty's own automation."""
    return _person(payload.text("event.agent.summary"))


def names(payload: Payload, path: str) -> str | None:
    """The summaries of a list of references, as text."""
    found = [name for item in payload.objects(path) if (name := _person(item.text("summary")))]
    more = len(found) - MOST_NAMES
    shown = [*found[:MOST_NAMES], f"{more} more"] if more > 0 else found
    return one_line(", ".join(shown), VALUE_LIMIT) or None


def _person(name: str | None) -> str | None:
    if name is None:
        return None
    address = ADDRESS.fullmatch(name)
    return one_line(address[1] if address else name, SHORT)


def _severity_word(payload: Payload) -> str | None:
    if priority := payload.text("event.data.priority.summary"):
        return one_line(priority, LONGEST_PRIORITY)
    return "low urgency" if payload.text("event.data.urgency") == "low" else None


def _by(payload: Payload) -> str:
    who = actor(payload)
    if who and who == _person(payload.text("event.data.service.summary")):
        # A service's own integration: "Triggered on Checkout" says it once.
        return ""
    if who:
        return f"by {who}"
    return "by a user" if payload.text("event.agent.type") == "user_reference" else "automatically"


def _after(payload: Payload, occurred_at: datetime) -> str:
    created_at = payload.time("event.data.created_at")
    reopened_at = payload.time("event.data.reopened_at")
    if created_at is None:
        return ""
    if reopened_at is None:
        return f"after {duration(occurred_at - created_at)}"
    since = occurred_at - reopened_at
    afterwards = f", {duration(since)} after it was reopened" if since > HALF_A_SECOND else ""
    return f"after {duration(occurred_at - created_at)}{afterwards}"


def _before(words: str, what: str | None) -> str:
    return f"{words} {one_line(what, SHORT)}" if what else ""
