"""Events as text for people and as JSON for scripts. Text from outside cannot add lines or colours."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from rich.text import Text

from apitraffic_events.event import EVERYWHERE, Event, EventType
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.tables import age
from receiver.wording import duration

HEADINGS: Final = ("STARTED", "AGE", "ENDED", "TYPE", "SOURCE", "SID", "NAME")
FAILED: Final = frozenset({"failure", "failed", "error"})
WIDEST_LABEL: Final = len("Environments")
JUST_NOW: Final = timedelta(seconds=1)


def as_json(event: StoredEvent | Event) -> dict[str, Any]:
    """The event with the API's field names. All are present; unknown ones are `null` (docs/cli.md)."""
    fields = event.model_dump(mode="json", by_alias=True)
    own = ("sid", "type", "name", "description", "source", "metadata", "buckets", "environments")
    times = ("startedAt", "endedAt", "createdAt", "updatedAt", "accountSid")
    return {name: fields.get(name) for name in (*own, *times)}


def as_row(event: StoredEvent) -> tuple[str, ...]:
    """The cells of its row below `HEADINGS`."""
    started, ended = event.started_at, event.ended_at
    return (
        format_timestamp(started) if started else "",
        age(now() - started) if started else "",
        format_timestamp(ended) if ended else "",
        safe_line(event.type),
        safe_line(event.source),
        safe_line(event.sid),
        safe_line(event.name),
    )


def details(event: StoredEvent) -> Text:
    """Everything that is known of an event, one field per line."""
    lines = (Text.assemble((f"{label:<{WIDEST_LABEL}}  ", "bold"), value) for label, value in _lines(event))
    return Text("\n").join(lines)


def _lines(event: StoredEvent) -> Iterator[tuple[str, str]]:
    yield "Name", safe_line(event.name)
    yield "SID", safe_line(event.sid)
    yield "Type", safe_line(event.type)
    if event.started_at:
        yield "Started", f"{format_timestamp(event.started_at)}  {how_long(event)}"
    if event.ended_at:
        yield "Ended", f"{format_timestamp(event.ended_at)}  {_ago(now() - event.ended_at)}"
    for number, text in enumerate((event.description or "").splitlines()):
        yield "" if number else "Description", safe_line(text)
    if event.source:
        yield "Source", safe_line(event.source)
    for label, scope in (("Buckets", event.buckets), ("Environments", event.environments)):
        yield label, "all" if scope == EVERYWHERE else safe_line(", ".join(scope))
    for name, value in event.metadata.items():
        yield f"  {safe_line(name)}", safe_line(str(value))


def safe_line(text: str | None) -> str:
    return one_line(text or "", METADATA_TEXT_LIMIT)


def style(event: StoredEvent) -> str:
    if event.type == EventType.INCIDENT or event.metadata.get("status") in FAILED:
        return "bold red" if is_open(event) or event.type != EventType.INCIDENT else "red"
    return "bold"


def is_open(event: StoredEvent) -> bool:
    return event.type == EventType.INCIDENT and event.ended_at is None


def how_long(event: StoredEvent) -> str:
    """How long ago it was and how long it took, or for how long an incident has been open."""
    if event.started_at is None:
        return ""
    since = now() - event.started_at
    if is_open(event):
        return f"open for {duration(since)}"
    if event.ended_at is None or event.ended_at == event.started_at:
        return _ago(since)
    return f"{_ago(since)}, took {duration(event.ended_at - event.started_at)}"


def _ago(since: timedelta) -> str:
    if since < -JUST_NOW:
        return f"in {duration(-since)}"
    return "just now" if since < JUST_NOW else f"{duration(since)} ago"
