"""`apitraffic-events explain`: what became of a delivery, a marker or an event, in one story."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click
from rich.text import Text

from apitraffic_events.errors import NotFound
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.events.account import reading_session, timeout_option
from receiver.cli.events.output import as_json as event_as_json
from receiver.cli.events.output import details, safe_line
from receiver.cli.exits import Problem
from receiver.cli.storage import connected_redis
from receiver.delivery.markers import Marker
from receiver.monitoring.stories import Archive, DeliveryStory, PendingChange
from receiver.queue.inspection import JobState
from receiver.wording import duration

SID_PREFIX: Final = "evt_"
STATES: Final = {
    JobState.WAITING: "waits in the queue",
    JobState.IN_WORK: "is being delivered",
    JobState.TO_RETRY: "is tried again later",
    JobState.DEAD: "is a dead letter",
}


@dataclass(frozen=True, slots=True)
class Story:
    """What is known. `event_problem` says why the API could not be asked, if a marker has an event."""

    deliveries: Sequence[DeliveryStory] = ()
    marker: Marker | None = None
    sid: str | None = None
    event: StoredEvent | None = None
    event_problem: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self.deliveries and self.marker is None and self.event is None


@click.command("explain")
@click.argument("name", metavar="DELIVERY|KEY|SID")
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(name: str, *, timeout: float, as_json: bool) -> None:
    """Tell what became of a delivery, a marker or an event.

    Give the id of a delivery (or SOURCE:ID), a marker's key or an event's SID. Shows when it was accepted,
    which changes became one marker, what waits or failed, and the event as the API has it now. Reads Redis
    and the API, and changes nothing.

    Exits with 1 if nothing is known of it.
    """
    story = _told(name.strip(), timeout)
    if as_json:
        click.echo(json.dumps(_as_json(story), indent=2))
    elif not story.is_empty:
        out = consoles.output()
        for part in _parts(story):
            out.print(part, soft_wrap=True)
    if story.is_empty:
        raise click.ClickException(_unknown(name, story))


def _told(name: str, timeout: float) -> Story:
    with connected_redis() as (settings, redis):
        archive = Archive(redis)
        event, problem = _event(name, timeout) if name.startswith(SID_PREFIX) else (None, None)
        if name.startswith(SID_PREFIX):
            key = str(event.metadata.get("marker_key", "")) if event else ""
            marker = archive.marker(key) if key else None
            return Story((), marker, name, event, problem)
        deliveries = archive.deliveries(name, settings.senders)
        marker = archive.marker(name)
        keys = (key for delivery in deliveries for key in delivery.keys)
        marker = marker or next((found for key in keys if (found := archive.marker(key))), None)
    sid = marker.sid if marker else None
    event, problem = _event(sid, timeout) if sid else (None, None)
    return Story(deliveries, marker, sid, event, problem)


def _event(sid: str, timeout: float) -> tuple[StoredEvent | None, str | None]:
    """The event as the API has it, or why that is not known."""
    try:
        with reading_session(timeout) as account:
            try:
                return account.ask(lambda: account.client.get_event(sid)), None
            except NotFound:
                return None, "The API does not have it: it was deleted, or belongs to another account."
    except Problem as problem:
        return None, problem.message


def _parts(story: Story) -> Iterator[Text]:
    for delivery in story.deliveries:
        yield _heading("Delivery", f"{delivery.id} of {delivery.source}")
        yield from map(Text, _of_delivery(delivery, story.marker))
    if story.marker is not None:
        yield _heading("Marker", story.marker.key)
        yield from map(Text, _of_marker(story.marker, story.deliveries))
    if story.sid is not None:
        yield _heading("Event", story.sid)
        if story.event is not None:
            # Its metadata would fill the screen; `events get` shows it.
            for line in details(story.event.model_copy(update={"metadata": {}})).split("\n"):
                yield Text("  ").append_text(line)
        elif story.event_problem:
            yield Text(f"  {one_line(story.event_problem, METADATA_TEXT_LIMIT)}")
        if story.marker is None:
            yield Text("  This receiver has no marker of it: it was created directly, or long ago.")


def _heading(word: str, name: str) -> Text:
    return Text.assemble((word, "bold"), " ", safe_line(name))


def _of_delivery(delivery: DeliveryStory, marker: Marker | None) -> Iterator[str]:
    if delivery.quarantined is not None:
        kept = delivery.quarantined
        yield f"  received {_when(kept.delivery.received_at)}, event {safe_line(kept.delivery.event)}"
        yield f"  in the quarantine: {safe_line(kept.reason)}"
        yield f"  → apitraffic-events quarantine replay {safe_line(kept.name)}"
    for entry in delivery.entries:
        what = f"{entry.status}: {entry.reason}" if entry.reason else entry.status
        yield f"  {format_timestamp(entry.at)} {safe_line(what)}"
    if delivery.is_remembered and not delivery.entries:
        yield "  accepted more than three days ago, or by a receiver of an earlier version"
    for number, change in enumerate(delivery.pending, start=1):
        yield from _of_change(number, change)
    if delivery.is_remembered and not delivery.pending:
        yield "  delivered: nothing of it waits"
        if marker is None:
            yield "  Its marker is no longer known by the delivery; give the marker's key or the event's SID."
    others = delivery.keys[1:]
    if others:
        yield f"  {len(others)} more: {safe_line(', '.join(others))}"


def _of_change(number: int, change: PendingChange) -> Iterator[str]:
    if change.letter is None:
        yield f"  change {number} {STATES.get(change.state, change.state.value)}"
        return
    death = change.letter.death
    why = " ".join(str(word) for word in (death.status, death.code, death.message) if word)
    yield f"  change {number} was given up {_when(death.at)}, attempts: {death.attempts}"
    yield f"  because: {safe_line(why)}"
    yield f"  it was: {safe_line(change.letter.text('event', 'name'))}"
    yield f"  → apitraffic-events deadletters replay {safe_line(change.letter.name)}"


def _of_marker(marker: Marker, deliveries: Sequence[DeliveryStory]) -> Iterator[str]:
    ids = {(delivery.source, delivery.id) for delivery in deliveries}
    for change in marker.changes:
        origin = change.delivery
        sign = ">" if (origin.source, origin.id) in ids else " "
        what = f"{change.effect.value:<6} {safe_line(change.event.name)}"
        yield f"{sign} {format_timestamp(change.occurred_at)} {what}"
        yield f"    {safe_line(origin.source)} {safe_line(origin.event)} {safe_line(origin.id)}"
    if not marker.changes:
        yield "  has no event: its first change has not been delivered"
    elif len(marker.changes) > 1:
        yield f"  These {len(marker.changes)} changes are one event."
    if marker.is_in_doubt:
        yield "  The last request had no answer that proves anything; a worker looks before it sends again."
    if marker.changes and marker.sid is None:
        yield "  It has no event yet."


def _when(moment: datetime) -> str:
    return f"{format_timestamp(moment)}, {duration(now() - moment)} ago"


def _unknown(name: str, story: Story) -> str:
    if story.event_problem:
        return story.event_problem
    return (
        f"Nothing is known of {one_line(name, METADATA_TEXT_LIMIT)!r}. Is it whole? A delivery that was "
        "refused has no id here: see `apitraffic-events tail --status refused`. One that waits in a "
        "receiver's spool is not known yet. Deliveries are remembered for 14 days, markers for 180."
    )


def _as_json(story: Story) -> dict[str, Any]:
    """The object that docs/cli.md describes."""
    marker = story.marker
    return {
        "deliveries": [
            {
                "source": each.source,
                "id": each.id,
                "log": [
                    {"at": format_timestamp(entry.at), "status": entry.status, "reason": entry.reason or None}
                    for entry in each.entries
                ],
                "markers": each.keys,
                "quarantined": each.quarantined.reason if each.quarantined else None,
                "pending": [
                    {
                        "state": change.state.value,
                        "dead_letter": change.letter.as_json() if change.letter else None,
                    }
                    for change in each.pending
                ],
            }
            for each in story.deliveries
        ],
        "marker": marker
        and {
            "key": marker.key,
            "sid": marker.sid,
            "in_doubt": marker.is_in_doubt,
            "changes": [
                {
                    "at": format_timestamp(change.occurred_at),
                    "effect": change.effect.value,
                    "name": change.event.name,
                    "source": change.delivery.source,
                    "event": change.delivery.event,
                    "delivery": change.delivery.id,
                }
                for change in marker.changes
            ],
        },
        "event": event_as_json(story.event) if story.event else None,
        "event_problem": story.event_problem,
    }
