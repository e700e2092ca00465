"""What `apitraffic-events what-changed` does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.events.account import AccountSession, reading_session
from receiver.cli.events.output import as_json, how_long, is_open, safe_line, style
from receiver.cli.exits import Refused
from receiver.cli.tables import columns
from receiver.delivery.asked_events import LOOK_BACK, event_named
from receiver.insight.nearby_events import NearbyEvent, ScopeFilter
from receiver.insight.verdict import Word
from receiver.insight.what_changed import Answer, Question, answer
from receiver.wording import duration

HEADINGS: Final = ("WHEN", "STARTED", "TYPE", "OUTCOME", "VERSIONS", "SID", "NAME", "VERDICT", "LINKS")
VERDICT_STYLES: Final = {Word.WORSE: "bold red", Word.BETTER: "green"}
KINDS: Final = {
    EventType.DEPLOYMENT.value: "deployment",
    EventType.CONFIG_CHANGE.value: "configuration change",
    EventType.SCALE.value: "scaling",
    EventType.CUSTOM.value: "custom event",
}
"""Types of events that change something, in words."""
NAMES: Final = KINDS | {EventType.INCIDENT.value: "incident"}


def tell(
    *,
    moment: datetime | None,
    event: str | None,
    environment: str | None,
    bucket: str | None,
    minutes: int,
    types: tuple[str, ...],
    limit: int,
    timeout: float,
    as_object: bool,
) -> None:
    if moment is not None and event is not None:
        raise click.UsageError("Give a MOMENT or --around, not both.")
    with reading_session(timeout) as account:
        of = _named(account, event) if event is not None else None
        buckets, _ = account.sids((bucket,) if bucket else (), ())
        question = Question(
            moment=moment or (of and (of.started_at or of.created_at)) or now(),
            within=timedelta(minutes=minutes),
            types=types,
            bucket=buckets[0] if buckets else None,
            scope=ScopeFilter(environment, of),
        )
        found = account.ask(lambda: answer(account.client, question))
    if as_object:
        about = {"about": as_json(of) if of else None}
        click.echo(json.dumps(found.as_json(now(), limit, as_json) | about))
    else:
        Printed(found, limit, f"{_in(environment)}{_on(bucket)}{_of(of)}").print(consoles.output())


@dataclass(frozen=True, slots=True)
class Printed:
    """An answer for people. Remarks about the whole answer go to standard error."""

    answer: Answer
    limit: int
    where: str

    def print(self, out: Console) -> None:
        shown = self.answer.changes[: self.limit]
        if shown and out.is_terminal:
            question = self.answer.question
            out.print(f"Around {format_timestamp(question.moment)}{self.where}\n", markup=False)
            out.print(_table(shown, question.moment))
        elif shown:
            for line in columns(HEADINGS, [_row(change) for change in shown]):
                click.echo(line)
        for line in self._remarks():
            click.echo(line, err=True)

    def _remarks(self) -> Iterator[str]:
        question, count = self.answer.question, len(self.answer.changes)
        start, end = format_timestamp(question.start), format_timestamp(min(question.end, now()))
        kinds = [name for kind, name in KINDS.items() if question.is_about(kind)]
        if count > self.limit:
            yield f"{count - self.limit} more, farther away; --limit {count} shows them."
        if not self.answer.is_complete:
            yield "There are too many events to read all of them; look at fewer with --minutes or --type."
        elif not count:
            wanted = [NAMES[kind] for kind in question.types]
            what = f"There was no {_either(wanted)}" if wanted else "Nothing changed"
            yield f"{what}{self.where} from {start} to {end}. --minutes looks farther."
        elif kinds and not self.answer.has_change_before:
            what = f"there was no {_either(kinds)}"
            yield f"Before, since {start}, {what}{self.where}. --minutes looks farther."


def _named(account: AccountSession, name: str) -> StoredEvent:
    event = account.ask(lambda: event_named(account.client, name))
    if event is None:
        raise Refused(
            f"ApiTraffic has no event {one_line(name, METADATA_TEXT_LIMIT)} of the last {duration(LOOK_BACK)}"
        )
    return event


def _in(environment: str | None) -> str:
    return f" in {safe_line(environment)}" if environment else ""


def _on(bucket: str | None) -> str:
    return f" on the charts of {safe_line(bucket)}" if bucket else ""


def _of(event: StoredEvent | None) -> str:
    return f" in the scope of {safe_line(event.sid)}" if event else ""


def _either(kinds: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))


def _table(changes: tuple[NearbyEvent, ...], moment: datetime) -> Table:
    """For 80 columns or more."""
    table = Table(
        Column("When", no_wrap=True),
        Column("What", overflow="fold", ratio=1),
        box=None,
        pad_edge=False,
        padding=(0, 2, 1, 0),
        header_style="bold",
    )
    for change in changes:
        table.add_row(_when(change, moment), Text("\n").join(_lines(change)))
    return table


def _when(change: NearbyEvent, moment: datetime) -> Text:
    """How far away, and the time that this is measured to."""
    at = moment + change.near.offset if change.near.offset else change.event.started_at or moment
    shown = f"{at:%H:%M:%SZ}" if at.date() == moment.date() else f"{at:%Y-%m-%d %H:%MZ}"
    open_style = "yellow" if is_open(change.event) else ""
    return Text.assemble((change.near.description, open_style), "\n", (shown, "dim"))


def _lines(change: NearbyEvent) -> Iterator[Text]:
    event = change.event
    yield Text(safe_line(event.name), style(event))
    lasts = how_long(event) if change.is_incident else ""
    facts = (event.type, lasts if is_open(event) else change.outcome, change.versions, event.source)
    yield Text(" · ".join(filter(None, map(safe_line, facts))))
    if (verdict := change.verdict) is not None:
        yield Text(safe_line(verdict.line), VERDICT_STYLES.get(verdict.word, ""))
    for link in _links(change):
        yield Text(link, f"link {link}")
    yield Text(safe_line(event.sid), "dim")


def _row(change: NearbyEvent) -> tuple[str, ...]:
    event, verdict = change.event, change.verdict
    return (
        change.near.description,
        format_timestamp(event.started_at) if event.started_at else "",
        safe_line(event.type),
        safe_line(change.outcome),
        safe_line(change.versions),
        safe_line(event.sid),
        safe_line(event.name),
        safe_line(f"{verdict.word.value}: {verdict.line}" if verdict else ""),
        " ".join(_links(change)),
    )


def _links(change: NearbyEvent) -> Iterator[str]:
    return (link for link in (change.compare_url, change.url) if link is not None)
