"""What ran before a deploy whose event is created directly, without the receiver (docs/ci-plugins.md).

No history is kept there, so the answer comes from the deploys that the API lists. The list is checked,
because the API may ignore filters. If the answer is not certain, there is none.
"""

import re
from typing import Final

from apitraffic_events.event import Event
from apitraffic_events.filters import is_descending
from apitraffic_events.records import EventPage, StoredEvent
from receiver.insight.annotation import Insight, with_insight
from receiver.insight.history import Previous, previous_of
from receiver.insight.records import DeployOutcome, listed_record, record_of

OWN_NAMES: Final = ("marker_key", "joined_by")
PREVIOUS_FACTS: Final = (
    *("previous_version", "previous_commit", "previous_deployed_at", "compare_url", "course"),
)
"""The metadata that says what ran before."""
PREVIOUS_LINE: Final = re.compile(
    r"(Before: .+, deployed|Rollback to .+ from .+, deployed|Again: .+ was deployed here) .+ earlier\."
    r"( https?://\S+)?"
)


def previous_among(own: Event, page: EventPage, found: StoredEvent | None = None) -> Previous | None:
    """What ran before, by the deploys on this page of the API's list; `None` if that is not certain.

    `found` is the event of the same deploy, if a webhook has created it.
    """
    record = record_of(own, str(own.metadata.get("marker_key")))
    if record is None or record.history is None or not has_the_latest(page):
        return None
    history = []
    for event in page.records:
        other = listed_record(event, event.sid)
        if other is None or other.history != record.history or _is_own(event, own, found):
            continue
        if other.outcome is DeployOutcome.SUCCEEDED and _is_beside(event, own):
            return None
        history.append(other)
    return previous_of(record, history)


def is_of_a_history(event: Event) -> bool:
    """Whether something can have run before it: whether it says what it deploys, and where."""
    record = record_of(event, "")
    return record is not None and record.history is not None and record.environment is not None


def with_previous(event: Event, previous: Previous | None, *, keeps_name: bool) -> Event:
    """The event with a line and metadata, as the receiver writes them. `keeps_name` if a person chose it."""
    told = with_insight(event, Insight(previous=previous))
    return told.model_copy(update={"name": event.name}) if keeps_name else told


def without_previous(event: StoredEvent) -> str | None:
    """The event's description without the line that says what ran before, if that line is ours."""
    if "previous_deployed_at" not in event.metadata or event.description is None:
        return event.description
    lines = event.description.splitlines()
    return "\n".join(line for line in lines if not PREVIOUS_LINE.fullmatch(line)) or None


def has_the_latest(page: EventPage) -> bool:
    """Whether no further page can have later deploys."""
    if not page.has_more:
        return True
    starts = [event.started_at for event in page.records]
    creations = [event.created_at for event in page.records]
    return is_descending(starts) or is_descending(creations)


def _is_own(event: StoredEvent, own: Event, found: StoredEvent | None) -> bool:
    key, job = own.metadata.get("marker_key"), own.metadata.get("job_id")
    return (
        (found is not None and event.sid == found.sid)
        or key in [event.metadata.get(name) for name in OWN_NAMES]
        or (job is not None and str(event.metadata.get("job_id")) == str(job))
    )


def _is_beside(event: StoredEvent, own: Event) -> bool:
    """Whether the same run made both. Only GitLab's names tell its jobs apart, and its ids the deploys."""
    runs = [
        (str(facts.get("run_url", "")).rstrip("/"), str(facts.get("run_attempt", "")))
        for facts in (event.metadata, own.metadata)
    ]
    return runs[0] == runs[1] and bool(runs[0][0]) and "job_id" not in event.metadata
