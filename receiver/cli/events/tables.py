"""Events as tables for a terminal, two lines for each."""

from collections.abc import Iterable, Sequence

from rich.table import Column, Table
from rich.text import Text

from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import format_timestamp
from receiver.cli.events.output import how_long, is_open, safe_line, style


def event_table(events: Iterable[StoredEvent]) -> Table:
    """What `events list` shows: when an event started, what it is, and its SID. For 80 columns or more."""
    first = Column("Started, UTC\n", no_wrap=True)
    second = Column("Name\nSID", overflow="fold", ratio=1)
    return _table(
        [first, _TYPE_AND_SOURCE, second],
        ([_started(event), _type_and_source(event), _name_above(event, event.sid)] for event in events),
        space=2,
    )


def demo_table(events: Iterable[StoredEvent]) -> Table:
    """What `demo` shows: where an event leads, and what was deployed where by whom. For 100 columns."""
    name = Column("Name\nURL", overflow="fold", ratio=1)
    about = Column("Environment\nCommit, actor", overflow="fold")
    return _table(
        [Column("When, UTC\n", no_wrap=True), _TYPE_AND_SOURCE, name, about],
        (
            [_date_above_time(event), _type_and_source(event), _name_above(event, _url(event)), _about(event)]
            for event in events
        ),
        space=1,
    )


_TYPE_AND_SOURCE = Column("Type\nSource", no_wrap=True)


def _table(columns: Sequence[Column], rows: Iterable[Sequence[Text]], *, space: int) -> Table:
    table = Table(*columns, box=None, pad_edge=False, padding=(0, space, 1, 0), header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def _started(event: StoredEvent) -> Text:
    when = format_timestamp(event.started_at) if event.started_at else "-"
    return Text.assemble(when, "\n", (how_long(event), "yellow" if is_open(event) else "dim"))


def _date_above_time(event: StoredEvent) -> Text:
    return Text(format_timestamp(event.started_at).replace("T", "\n", 1) if event.started_at else "-")


def _type_and_source(event: StoredEvent) -> Text:
    return Text.assemble(safe_line(event.type), "\n", (safe_line(event.source), "dim"))


def _name_above(event: StoredEvent, below: str) -> Text:
    return Text.assemble((safe_line(event.name), style(event)), "\n", (safe_line(below), "dim"))


def _url(event: StoredEvent) -> str:
    # A run's URL first: it is short enough for one line.
    return str(event.metadata.get("run_url") or event.metadata.get("url", ""))


def _about(event: StoredEvent) -> Text:
    environment = str(event.metadata.get("environment", ""))
    commit = " ".join(str(event.metadata[key]) for key in ("short_commit", "actor") if key in event.metadata)
    return Text.assemble(safe_line(environment), "\n", (safe_line(commit), "dim"))
