"""What became of a delivery, a marker or an event."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click
from rich.text import Text

from apitraffic_events.errors import ConfigurationError, NotFound
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import METADATA_TEXT_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.consoles import print_wrapped
from receiver.cli.events.account import reading_session
from receiver.cli.events.output import as_json as event_as_json
from receiver.cli.events.output import details, safe_line
from receiver.cli.exits import Problem
from receiver.cli.storage import connected_redis
from receiver.config.settings import Settings
from receiver.delivery.creation import MARKER_KEY
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
class MarkerStory:
    """A marker and its event, either of which may be unknown. `problem` says why the event is.

    `account` is its name in apitraffic.toml; `None` is the one of APITRAFFIC_ACCOUNT_SID.
    """

    account: str | None
    marker: Marker | None
    sid: str | None
    event: StoredEvent | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    deliveries: Sequence[DeliveryStory]
    markers: Sequence[MarkerStory]

    @property
    def is_empty(self) -> bool:
        return not self.deliveries and not any(each.marker or each.event for each in self.markers)


def tell(name: str, *, timeout: float, as_json: bool) -> None:
    story = _told(name.strip(), timeout)
    if as_json:
        click.echo(json.dumps(_as_json(story), indent=2))
    elif not story.is_empty:
        out = consoles.output()
        for part in _parts(story):
            print_wrapped(part, out)
    if story.is_empty:
        raise click.ClickException(_unknown(name, story))


def _told(name: str, timeout: float) -> Story:
    with connected_redis() as (settings, redis):
        archive = Archive(redis, settings.account)
        api = Api(settings, timeout)
        if name.startswith(SID_PREFIX):
            account, event, problem = api.find(name)
            key = str(event.metadata.get(MARKER_KEY, "")) if event else ""
            known = dict(archive.markers(key)) if key else {}
            return Story((), [MarkerStory(account, known.get(account), name, event, problem)])
        deliveries = archive.deliveries(name, settings.senders)
        keys = (name, *(key for delivery in deliveries for key in delivery.keys))
        # A marker may be known by several of these keys.
        markers = {(account, each.key): each for key in keys for account, each in archive.markers(key)}
        stories = [
            MarkerStory(account, marker, marker.sid, *(api.event(marker.sid, account) if marker.sid else ()))
            for (account, _), marker in markers.items()
        ]
        return Story(deliveries, stories)


@dataclass(frozen=True, slots=True)
class Api:
    """Asks the API for events: of each an event, or why it is not known."""

    settings: Settings
    timeout: float

    def event(self, sid: str, account: str | None) -> tuple[StoredEvent | None, str | None]:
        try:
            own = None if account is None else self.settings.of_account(account)
            with reading_session(self.timeout, settings=own) as session:
                try:
                    return session.ask(lambda: session.client.get_event(sid)), None
                except NotFound:
                    return None, "The API does not have it: it was deleted, or belongs to another account."
        except Problem as problem:
            return None, problem.message
        except ConfigurationError as error:
            return None, f"ApiTraffic is not configured: {error}"

    def find(self, sid: str) -> tuple[str | None, StoredEvent | None, str | None]:
        """In the first account that has it."""
        event, problem = self.event(sid, None)
        for account in self.settings.account:
            if event is not None:
                break
            event, _ = self.event(sid, account)
            if event is not None:
                return account, event, None
        return None, event, problem


def _parts(story: Story) -> Iterator[Text]:
    for delivery in story.deliveries:
        yield _heading("Delivery", f"{delivery.id} of {delivery.source}")
        yield from map(Text, _of_delivery(delivery, has_marker=bool(story.markers)))
    for told in story.markers:
        if told.marker is not None:
            where = f" in the account {told.account}" if told.account else ""
            yield _heading("Marker", f"{told.marker.key}{where}")
            yield from map(Text, _of_marker(told.marker, story.deliveries))
        if told.sid is not None:
            yield _heading("Event", told.sid)
            yield from _of_event(told)


def _of_event(told: MarkerStory) -> Iterator[Text]:
    if told.event is not None:
        # Its metadata would fill the screen; `events get` shows it.
        for line in details(told.event.model_copy(update={"metadata": {}})).split("\n"):
            yield Text("  ").append_text(line)
    elif told.problem:
        yield Text(f"  {one_line(told.problem, METADATA_TEXT_LIMIT)}")
    if told.marker is None:
        yield Text("  This receiver has no marker for it: it was created directly, or long ago.")


def _heading(word: str, name: str) -> Text:
    return Text.assemble((word, "bold"), " ", safe_line(name))


def _of_delivery(delivery: DeliveryStory, *, has_marker: bool) -> Iterator[str]:
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
        yield "  delivered: no change is waiting"
        if not has_marker:
            yield "  The log no longer names its marker; give the marker's key or the event's SID."


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
    if problem := next((told.problem for told in story.markers if told.problem), None):
        return problem
    return (
        f"Nothing is known of {one_line(name, METADATA_TEXT_LIMIT)!r}; check that it is complete. Refused "
        "deliveries have no id here: see `apitraffic-events tail --status refused`. Deliveries in a "
        "receiver's spool are not known yet. Deliveries are remembered for 14 days, markers for 180."
    )


def _as_json(story: Story) -> dict[str, Any]:
    """The object that docs/cli.md describes."""
    return {
        "deliveries": [
            {
                "source": each.source,
                "id": each.id,
                "log": [
                    {"at": format_timestamp(entry.at), "status": entry.status, "reason": entry.reason or None}
                    for entry in each.entries
                ],
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
        "markers": [_marker_as_json(told) for told in story.markers],
    }


def _marker_as_json(told: MarkerStory) -> dict[str, Any]:
    marker = told.marker
    return {
        "key": marker.key if marker else None,
        "account": told.account,
        "in_doubt": marker.is_in_doubt if marker else False,
        "changes": [
            {
                "at": format_timestamp(change.occurred_at),
                "effect": change.effect.value,
                "name": change.event.name,
                "source": change.delivery.source,
                "event": change.delivery.event,
                "delivery": change.delivery.id,
            }
            for change in (marker.changes if marker else ())
        ],
        "sid": told.sid,
        "event": event_as_json(told.event) if told.event else None,
        "problem": told.problem,
    }
