"""Events as people and as scripts read them. What comes from outside cannot forge a line or a colour."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from rich.table import Table
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
    """The event in the API's own names, all of them there; `null` for what is not known (docs/cli.md)."""
    fields = event.model_dump(mode="json", by_alias=True)
    own = ("sid", "type", "name", "description", "source", "metadata", "buckets", "environments")
    times = ("startedAt", "endedAt", "createdAt", "updatedAt", "accountSid")
    return {name: fields.get(name) for name in (*own, *times)}


def as_row(event: StoredEvent) -> tuple[str, ...]:
    """Its cells below `HEADINGS`."""
    started, ended = event.started_at, event.ended_at
    return (
        format_timestamp(started) if started else "",
        age(now() - started) if started else "",
        format_timestamp(ended) if ended else "",
        _line(event.type),
        _line(event.source),
        _line(event.sid),
        _line(event.name),
    )


def table(events: Iterable[StoredEvent]) -> Table:
    """Two lines for each event, for a terminal of 80 columns or more."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="bold")
    made.add_column("Started, UTC\n", no_wrap=True)
    made.add_column("Type\nSource", no_wrap=True)
    made.add_column("Name\nSID", overflow="fold", ratio=1)
    for event in events:
        when = format_timestamp(event.started_at) if event.started_at else "-"
        made.add_row(
            Text.assemble(when, "\n", (_how_long(event), "yellow" if _is_open(event) else "dim")),
            Text.assemble(_line(event.type), "\n", (_line(event.source), "dim")),
            Text.assemble((_line(event.name), _style(event)), "\n", (_line(event.sid), "dim")),
        )
    return made


def details(event: StoredEvent) -> Text:
    """All that is known of one event, a line for each."""
    lines = (Text.assemble((f"{label:<{WIDEST_LABEL}}  ", "bold"), value) for label, value in _lines(event))
    return Text("\n").join(lines)


def _lines(event: StoredEvent) -> Iterator[tuple[str, str]]:
    yield "Name", _line(event.name)
    yield "SID", _line(event.sid)
    yield "Type", _line(event.type)
    if event.started_at:
        yield "Started", f"{format_timestamp(event.started_at)}  {_how_long(event)}"
    if event.ended_at:
        yield "Ended", f"{format_timestamp(event.ended_at)}  {_ago(now() - event.ended_at)}"
    for number, text in enumerate((event.description or "").splitlines()):
        yield "" if number else "Description", _line(text)
    if event.source:
        yield "Source", _line(event.source)
    for label, scope in (("Buckets", event.buckets), ("Environments", event.environments)):
        yield label, "all" if scope == EVERYWHERE else _line(", ".join(scope))
    for name, value in event.metadata.items():
        yield f"  {_line(name)}", _line(str(value))


def _line(text: str | None) -> str:
    return one_line(text or "", METADATA_TEXT_LIMIT)


def _style(event: StoredEvent) -> str:
    if event.type == EventType.INCIDENT or event.metadata.get("status") in FAILED:
        return "bold red" if _is_open(event) or event.type != EventType.INCIDENT else "red"
    return "bold"


def _is_open(event: StoredEvent) -> bool:
    return event.type == EventType.INCIDENT and event.ended_at is None


def _how_long(event: StoredEvent) -> str:
    """How long ago it was and how long it took; of an open incident, how long it has been going on."""
    if event.started_at is None:
        return ""
    since = now() - event.started_at
    if _is_open(event):
        return f"open for {duration(since)}"
    if event.ended_at is None or event.ended_at == event.started_at:
        return _ago(since)
    return f"{_ago(since)}, took {duration(event.ended_at - event.started_at)}"


def _ago(since: timedelta) -> str:
    if since < -JUST_NOW:
        return f"in {duration(-since)}"
    return "just now" if since < JUST_NOW else f"{duration(since)} ago"
