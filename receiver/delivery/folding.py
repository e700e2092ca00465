"""What a marker shows once several changes of it are known: a pure function of the set, not of its order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import filterfalse

from apitraffic_events.event import ALREADY_CLEAN, Event
from apitraffic_events.records import EventUpdate
from apitraffic_events.updates import append_lines
from receiver.delivery.outcomes import ENDS, LISTED, begins_again, moves, with_covered_failure
from receiver.events import Change, Effect, is_stand_in_name
from receiver.wording import duration

RANK = {Effect.OPEN: 0, Effect.UPDATE: 1, Effect.REOPEN: 2, Effect.CLOSE: 3, Effect.POINT: 3}
"""Which of two changes at the same moment counts as the later one."""

LONGEST_TRAIL = 5
"""How many remarks are shown; the latest ones."""

FACTS = frozenset({"type", "source", "buckets", "environments"})
"""Fields that do not depend on how something ends."""
TEXTS = frozenset({"name", "description"})
UPDATABLE = (
    *("type", "name", "description", "source", "metadata"),
    *("buckets", "environments", "started_at", "ended_at"),
)

ONE_MOMENT = timedelta(milliseconds=2)
"""The API keeps times in milliseconds, so two that differ by less may be the same."""


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Sorted by the sender's clock, whatever order they arrived in; each change of a delivery once."""
    once = {(change.delivery.source, change.delivery.id, change.effect): change for change in changes}
    return tuple(
        sorted(
            once.values(),
            key=lambda change: (
                change.occurred_at,
                RANK[change.effect],
                change.sequence,
                change.delivery.id,
                change.delivery.source,
                change.effect,
            ),
        )
    )


def fold(changes: Iterable[Change]) -> Event | None:
    """The event that these changes of one marker add up to.

    The opening decides the start; without one, the first start that a change names. A closing that does not
    know its start names none. The latest outcome by the sender's clock decides the end and the text
    (`moves`); one that is repeated changes neither. An update that knows the whole event stands in for a
    missing opening; those that know only some fields wait for it, and the latest of them counts. A point is
    the end of a span if another sender reports the same deploy as a span. What is reported indirectly
    (`Change.is_indirect`) gives way to what others report, what only stands in for a field that a change does
    not know to what anyone says of it, and what a look-up has found to what was accepted. Remarks become a
    trail below the description, whenever they were made.
    """
    known = _with_listed_as_base(in_order(changes))
    deciding, beside = _without_indirect(known)
    ordered = _points_as_ends(deciding)
    folding = _Folding()
    for change in ordered:
        folding.take(change)
    event = folding.event
    if event is None:
        return None
    for part in beside:
        folding.add(part)
    event = folding.event or event
    if event.started_at is None:
        event = event.model_copy(update={"started_at": _known_start(ordered, event.ended_at)})
    told = (*(with_covered_failure(change, ordered, folding.shown) for change in known),)
    return _with_trail(_with_its_length(event, folding.shown), told)


def is_ended(ordered: Iterable[Change]) -> bool:
    """Whether changes in this order leave a marker that is shown and has ended."""
    folding = _Folding()
    for change in ordered:
        folding.take(change)
    return folding.shown is not None


def end_of(change: Change) -> datetime | None:
    """When that ended which it reports as a span; `None` if it reports no end."""
    if change.effect is Effect.CLOSE:
        return change.event.ended_at or change.occurred_at
    is_ended = change.effect is Effect.UPDATE and _knows(change, "ended_at")
    return change.event.ended_at if is_ended else None


def is_called_off(changes: Iterable[Change]) -> bool:
    """Whether one of them calls the marker off, unless something of it was to be shown by then."""
    return any(_calls_off(change) for change in changes)


def _calls_off(change: Change) -> bool:
    return change.effect is Effect.UPDATE and change.is_final and change.sets is not None


@dataclass(slots=True)
class _Folding:
    """What the changes up to here add up to; those after it are taken in order."""

    event: Event | None = None
    unsaid: frozenset[str] = FACTS | TEXTS
    """Fields of the event of which nobody has said anything: what they hold only stands in for it."""
    is_opened: bool = False
    """Whether an opening is among them: a later one after the end is then another."""
    waiting: list[Change] = field(default_factory=list)
    """Parts of an event that nobody has reported yet."""
    shown: Change | None = None
    """The end that the marker shows; `None` while it has none."""
    decided: Change | None = None
    """The end that the next one is measured by: it may have reported the same outcome as the one shown."""

    def take(self, change: Change) -> None:
        if self.event is None and _is_part(change):
            self.waiting.append(change)
            if _calls_off(change):
                self.decided = change
            return
        match change.effect:
            case Effect.UPDATE if self.decided is None:
                self.event = self._write(change)
                if end_of(change) is not None:
                    self._end(change)
            case Effect.OPEN | Effect.REOPEN if (
                self.decided is None
                or change.effect is Effect.REOPEN
                or (self.is_opened and begins_again(self.decided, change))
            ):
                self.is_opened = self.is_opened or change.delivery.source != LISTED
                self.event = self._write(change).model_copy(update={"ended_at": None})
                self.shown = self.decided = None
            case Effect.CLOSE | Effect.POINT if self.decided is None or moves(self.decided, change):
                self.event = self._write(change)
                if self.decided is not None and change.effect is Effect.POINT:
                    self.event = self.event.model_copy(update={"started_at": change.event.started_at})
                self._end(change)
            case _ if self.event is None:
                self.waiting.append(change)
            case _:
                self.add(change)
                if self.decided is not None and change.is_authoritative and change.effect in ENDS:
                    self.decided = change

    def add(self, change: Change) -> None:
        """Add the metadata that only this change has, and what it says of fields that nobody spoke of."""
        if self.event is not None:
            said = {name: getattr(change.event, name) for name in self.unsaid if _knows(change, name)}
            metadata = change.event.metadata | self.event.metadata
            self.event = self.event.model_copy(update={**said, "metadata": metadata})
            self.unsaid -= said.keys()

    def _write(self, change: Change) -> Event:
        """The event with what this change knows over it, and what has waited for the event below it."""
        self.unsaid = frozenset(name for name in self.unsaid if not _knows(change, name))
        self.event = _over(self.event, change)
        while self.waiting:
            # The latest first, because what is said already stays.
            self.add(self.waiting.pop())
        return self.event

    def _end(self, change: Change) -> None:
        """End what this change has written."""
        if self.event is not None:
            self.event = _ended(self.event, change)
        self.shown = self.decided = change


def difference(sent: Event | None, desired: Event) -> EventUpdate | None:
    """What to change so that the sent event becomes the desired one; `None` if nothing is to change."""
    changed = {
        name: getattr(desired, name)
        for name in UPDATABLE
        if sent is None or getattr(sent, name) != getattr(desired, name)
    }
    return EventUpdate.model_validate(changed, context=ALREADY_CLEAN) if changed else None


def _with_listed_as_base(ordered: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes with what look-ups have found in its place: before the opening, or as an end of its own.

    It shows what was sent before, or what somebody else has sent, and never goes over what was accepted.
    """
    accepted = [change for change in ordered if change.delivery.source != LISTED]
    if len(accepted) == len(ordered):
        return ordered
    direct = [change for change in accepted if not change.is_indirect]
    listed = [_as_base(change, direct) for change in ordered if change.delivery.source == LISTED]
    # Of the same moment, what was found comes first.
    return tuple(sorted((*listed, *accepted), key=lambda change: change.occurred_at))


def _as_base(listed: Change, accepted: Sequence[Change]) -> Change:
    """What was found, without the fields that the accepted changes know better."""
    event, effect, at = listed.event, listed.effect, listed.occurred_at
    unknown = {name for name in FACTS if any(_knows(change, name) for change in accepted)}
    if is_stand_in_name(event.name):
        unknown |= FACTS | {"name"}
        unknown |= {"description"} if event.description is None else set()
    if any(_is_same_end(change, listed) for change in accepted):
        # That is the end that was found. A start at the same moment only stood in for one.
        is_span = event.started_at is not None and event.started_at < at
        effect, at = Effect.OPEN, event.started_at or at
        event = event.model_copy(update={"ended_at": None, "started_at": at if is_span else None})
    openings = [change.occurred_at for change in accepted if change.effect is Effect.OPEN]
    if effect is Effect.OPEN and openings:
        event, at = event.model_copy(update={"started_at": None}), min(at, *openings)
    is_part = effect in {Effect.OPEN, Effect.CLOSE} and bool(unknown)
    sets = tuple(name for name in UPDATABLE if name not in unknown) if is_part else listed.sets
    return listed.model_copy(update={"event": event, "effect": effect, "occurred_at": at, "sets": sets})


def _is_same_end(change: Change, listed: Change) -> bool:
    one, other = end_of(change), listed.event.ended_at
    return one is not None and other is not None and abs(one - other) < ONE_MOMENT


def _without_indirect(ordered: tuple[Change, ...]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """The changes that decide what is shown, and those that only add metadata to it.

    If a marker is reported directly, an indirect end counts only until a direct one is known: a part of
    something has ended with it.
    """
    direct = [change for change in ordered if not change.is_indirect]
    if not any(_knows(change, "name") and not _is_part(change) for change in direct):
        return ordered, ()
    is_ended = any(change.effect is Effect.POINT or end_of(change) is not None for change in direct)

    def decides(change: Change) -> bool:
        return not change.is_indirect or (change.effect in ENDS and not is_ended)

    return tuple(filter(decides, ordered)), tuple(filterfalse(decides, ordered))


def _points_as_ends(ordered: tuple[Change, ...]) -> tuple[Change, ...]:
    """The same changes; a point among the changes of a span becomes its closing."""
    spans = [
        change
        for change in ordered
        if change.effect is Effect.CLOSE
        or (change.effect is Effect.OPEN and change.delivery.source != LISTED)
    ]
    if not spans:
        return ordered
    starts = (change.event.started_at for change in spans if _knows(change, "started_at"))
    began_at = next(filter(None, starts), None)
    return tuple(
        _as_closing(change, began_at) if change.effect is Effect.POINT else change for change in ordered
    )


def _as_closing(point: Change, began_at: datetime | None) -> Change:
    ended_at = point.event.ended_at or point.occurred_at
    if began_at is None or began_at > ended_at:
        # A name that is not exact may bring a span of another job of the run here.
        began_at = ended_at - point.lasted if point.lasted is not None else None
    event = point.event.model_copy(update={"started_at": began_at, "ended_at": ended_at})
    return point.model_copy(update={"effect": Effect.CLOSE, "event": event})


def _known_start(ordered: Sequence[Change], ended_at: datetime | None) -> datetime:
    """The first start that one of the changes names; else when the first happened. Never after the end."""
    starts = (change.event.started_at for change in ordered if _knows(change, "started_at"))
    known = (start for start in starts if start and (ended_at is None or start <= ended_at))
    first = ordered[0].occurred_at
    return next(known, first if ended_at is None else min(first, ended_at))


def _with_its_length(event: Event, end: Change | None) -> Event:
    """The event with words on how long it took that agree with its start and end, if it has both."""
    if end is None or end.lasted is None or event.description is None:
        return event
    if event.started_at is None or event.ended_at is None:
        return event
    said, true = (f" after {duration(length)}" for length in (end.lasted, event.ended_at - event.started_at))
    return event.model_copy(update={"description": event.description.replace(said, true, 1)})


def _ended(event: Event, change: Change) -> Event:
    ended_at = change.event.ended_at
    if change.effect is not Effect.POINT:
        ended_at = ended_at or change.occurred_at
        ended_at = max(ended_at, event.started_at or ended_at)
    return event.model_copy(update={"ended_at": ended_at})


def _is_part(change: Change) -> bool:
    """Whether it makes no marker by itself."""
    return change.effect is Effect.UPDATE and change.sets is not None


def _knows(change: Change, field: str) -> bool:
    return change.sets is None or field in change.sets


def _over(older: Event | None, change: Change) -> Event:
    """The newer text and scope, as far as the change knows them, with the older start and all metadata."""
    newer = change.event
    if not _knows(change, "started_at"):
        newer = newer.model_copy(update={"started_at": None})
    if older is None:
        return newer
    kept = {name: getattr(older, name) for name in UPDATABLE if not _knows(change, name)}
    return newer.model_copy(
        update={
            "description": newer.description or older.description,
            **kept,
            "started_at": older.started_at or newer.started_at,
            "ended_at": older.ended_at,
            "metadata": older.metadata | newer.metadata,
        }
    )


def _with_trail(event: Event, ordered: Sequence[Change]) -> Event:
    """The event with its latest remarks, each once and with its time, as lines below its description."""
    remarks = (f"{change.occurred_at:%H:%M} UTC {change.remark}" for change in ordered if change.remark)
    shown = (event.description or "").splitlines()
    trail = [remark for remark in dict.fromkeys(remarks) if remark not in shown]
    if not trail:
        return event
    return event.model_copy(update={"description": append_lines(event.description, trail[-LONGEST_TRAIL:])})
