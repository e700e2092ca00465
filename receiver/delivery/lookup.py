"""Finding an event in the API before creating one that may exist already."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, RateLimited, Rejected, Unauthorised, Unreachable
from apitraffic_events.event import EventType
from apitraffic_events.filters import EventFilter, Position
from apitraffic_events.records import EventPage, StoredEvent
from receiver.delivery.folding import fold
from receiver.delivery.markers import Marker
from receiver.events import Change, Effect, marker_key
from receiver.timestamps import EARLIEST

ROUNDING: Final = timedelta(minutes=1)
"""How far from the start that we sent an event is searched for: an API may round it."""
SAME_MOMENT: Final = timedelta(seconds=5)
"""How far from its start the event of a beginning is searched for that was delivered before."""
AROUND_A_JOB: Final = timedelta(minutes=10)
"""How far outside the time of a deploy another party's event of it is searched for."""
LOOK_BACK: Final = timedelta(hours=1)
"""How far back, if no change says when it began."""
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""How much later than Redis' loss of its data a sender's clock may have put what happened before it."""
FRESH_FOR: Final = timedelta(hours=1)
"""How long after the loss a sender may repeat what has no time of its own."""
LOOK_FAR_BACK: Final = timedelta(days=30)
"""How far back, if no change says when it began and Redis has lost its data since."""
LONGEST_JOB: Final = timedelta(days=1)
"""How far back a deploy may have begun if no change says when and Redis has lost its data since."""
MOST_REQUESTS: Final = 2
"""For a search that is only a precaution."""
MOST_TO_REMEMBER: Final = 10
"""For a search far back, which only Redis' loss of its data makes necessary."""
MOST_FOR_PROOF: Final = 20
"""For a search after which an event is created again; in steps that double it passes by many thousands."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search. It costs no more than so many requests, whatever the account holds.

    If it `may_learn`, those are not counted that show how the API spells its filters: a few, once in the life
    of a client. It may then take `MOST_FOR_PROOF` if the API turns out to ignore the period.
    """

    wanted: EventFilter
    most_requests: int
    may_learn: bool = True


def find_event(
    events: Iterable[StoredEvent],
    is_it: Callable[[StoredEvent], bool],
    may_be_it: Callable[[StoredEvent], bool] = lambda _: False,
) -> StoredEvent | None:
    """The first of these that is it; if there is none, the first that may be it."""
    possible = None
    for event in events:
        if is_it(event):
            return event
        if possible is None and may_be_it(event):
            possible = event
    return possible


def events_of(client: EventsClient, *searches: Search) -> Iterator[StoredEvent]:
    """What the searches come to, one after the other; raises `EventsApiError` if the API cannot be asked.

    If the list ignores its filters and begins with the newest start, pages that are too new are skipped in
    steps that double, and the first page that is not is found by halving. Reading ends behind the period.
    """
    for search in searches:
        pages = _Pages(client, search.wanted)
        taken = 0
        while (number := pages.next_to_read()) is not None:
            page = pages.read(number)
            taken += not (search.may_learn and page.is_worth_repeating)
            yield from page.records
            is_filtered = client.filters.in_use("start") is not None
            if taken >= (search.most_requests if is_filtered or not search.may_learn else MOST_FOR_PROOF):
                break


class _Pages:
    """Which page of a list to read next."""

    def __init__(self, client: EventsClient, wanted: EventFilter) -> None:
        self._client = client
        self._wanted = wanted
        self._seen: set[str] = set()
        self._is_last: dict[int, bool] = {}
        """Of each page that was read, whether nothing is to be found behind it."""
        self._too_new = 0
        """The last page that is known to be too new."""
        self._not_too_new: int | None = None
        """The first page that is known not to be."""
        self._next: int | None = 1

    def next_to_read(self) -> int | None:
        return self._next

    def read(self, number: int) -> EventPage:
        page = self._client.list_page(self._wanted, page=number)
        if page.is_worth_repeating:
            return page
        sids = {record.sid for record in page.records}
        # An API that does not know the parameter `page` returns the same one for ever.
        is_repeated, self._seen = bool(sids) and sids <= self._seen, self._seen | sids
        position = self._wanted.position_of(page.records)
        self._is_last[number] = not page.has_more or is_repeated or position is Position.PAST
        if position is not Position.NEWER:
            self._not_too_new = min(number, self._not_too_new or number)
        elif self._not_too_new is None or number < self._not_too_new:
            self._too_new = max(number, self._too_new)
        self._next = None if is_repeated else self._following()
        return page

    def _following(self) -> int | None:
        if self._not_too_new is None:
            return None if self._is_last[self._too_new] else self._too_new * 2
        if self._not_too_new - self._too_new > 1:
            return (self._too_new + self._not_too_new) // 2
        number = self._not_too_new
        while number in self._is_last:
            if self._is_last[number]:
                return None
            number += 1
        return number


def searches_for(marker: Marker, sent: Marker, remembers_since: datetime) -> tuple[Search, ...]:
    """Where the event of a marker that has no SID may be; empty if the API cannot have one.

    It may have one after an attempt whose result is not known; `sent` is the marker as it was then. Before
    the first attempt it may have one if the change is not the marker's beginning, if the pipeline that made a
    deployment may have created it directly, and if Redis has lost its data since the change happened.
    """
    searches: list[Search] = []
    was_sent = marker.is_in_doubt and bool(sent.changes)
    if marker.is_in_doubt:
        searches += _of_what_was_sent(sent if was_sent else marker)
    is_fresh = any(_may_be_older(known, remembers_since) for known in marker.changes)
    if any(_others_know(known) for known in marker.changes):
        if not (was_sent or sent.changes):
            searches += _of_a_deploy(marker.changes, remembers_since)
        searches.append(_of_others(marker.changes))
    elif not was_sent and (is_fresh or not _has_begun(marker.changes)):
        searches += _of_earlier(marker.changes, remembers_since, is_first=not sent.changes)
    return tuple(searches)


def around(start: datetime) -> EventFilter:
    """Events that started then. The exact start is known of an event that we sent."""
    return EventFilter(started_from=start - ROUNDING, started_to=start + ROUNDING)


def anywhere() -> Search:
    """The newest events, whatever a filter means to the API."""
    return Search(EventFilter(), 1)


def is_marker(event: StoredEvent, names: Collection[str]) -> bool:
    """Whether the event was created for a marker with one of these names.

    Who creates it without the receiver may have stored a longer key than the receiver does.
    """
    key = event.metadata.get("marker_key")
    return isinstance(key, str) and (key in names or marker_key(key) in names)


def is_plugins_own(event: StoredEvent, runs: Collection[str]) -> bool:
    """Whether a CI plugin created it that knows only its run, one of these, and no deployment has it yet."""
    run, job, _ = str(event.metadata.get("marker_key", "")).rpartition(":job:")
    return bool(job) and run in runs and "deployment_id" not in event.metadata


def was_surely_not_done(error: EventsApiError) -> bool:
    """Whether a request that ended with this error has certainly changed nothing, and will not.

    Any other answer is no proof: a 500 may be sent after the change was made, and a 200 without the event may
    come from a proxy.
    """
    return isinstance(error, Rejected | Unauthorised | RateLimited) or (
        isinstance(error, Unreachable) and not error.was_sent
    )


def _others_know(change: Change) -> bool:
    """Whether somebody else may have created its event directly. A plugin's claims are no sign of that."""
    return bool(change.aliases) or (bool(change.claims) and change.is_authoritative) or change.is_indirect


def _of_what_was_sent(sent: Marker) -> Iterator[Search]:
    event = fold(sent.changes)
    if event is not None and event.started_at is not None:
        yield Search(around(max(event.started_at, EARLIEST)), MOST_FOR_PROOF)


def _of_others(changes: Iterable[Change]) -> Search:
    """What a step of the pipeline has created: while its job ran, and of the same type."""
    known = tuple(changes)
    moments = _moments(known)
    first = min(moments) - (AROUND_A_JOB if _is_start_known(known) else LOOK_BACK)
    types = {change.event.type.value for change in known if change.sets is None}
    wanted = EventFilter(
        type=types.pop() if len(types) == 1 else None,
        started_from=first,
        started_to=max(moments) + AROUND_A_JOB,
    )
    return Search(wanted, MOST_REQUESTS, may_learn=False)


def _of_a_deploy(known: Sequence[Change], remembers_since: datetime) -> Iterator[Search]:
    """What we may have created of it before Redis lost its data, and `_of_others` need not come to."""
    forgotten = remembers_since + CLOCKS_DIFFER
    exact = {change.event.started_at for change in known if _has_begun([change]) or _knows_start(change)}
    starts = [max(start, EARLIEST) for start in exact if start is not None]
    if starts and min(starts) < forgotten:
        wanted = EventFilter(known[0].event.type.value, min(starts) - SAME_MOMENT, max(starts) + SAME_MOMENT)
        yield Search(wanted, 1)
    elif not (starts or _is_start_known(known)):
        ended_at = min(_moments(known))
        first, until = ended_at - LONGEST_JOB, min(ended_at - LOOK_BACK, forgotten)
        if first < until:
            yield Search(EventFilter(EventType.DEPLOYMENT, first, until), MOST_TO_REMEMBER)


def _of_earlier(changes: Iterable[Change], remembers_since: datetime, *, is_first: bool) -> Iterator[Search]:
    """What this or another receiver has created of the same marker."""
    known = tuple(changes)
    starts = [change.event.started_at for change in known if _says_start(change)]
    exact = [max(start, EARLIEST) for start in starts if start is not None]
    if not exact:
        # What Redis may have forgotten was looked for with the marker's first change.
        yield from _of_an_unknown_start(known, remembers_since if is_first else EARLIEST)
    elif _has_begun(known):
        yield _of_a_beginning(known[0], min(exact), max(exact), remembers_since)
    else:
        # A script that closes something may name another start than the one that opened it.
        margin = ROUNDING if all(change.sets is None for change in known) else LOOK_BACK
        yield Search(
            EventFilter(started_from=min(exact) - margin, started_to=max(exact) + margin), MOST_REQUESTS
        )


def _of_an_unknown_start(known: Iterable[Change], remembers_since: datetime) -> Iterator[Search]:
    """What others may have begun a short time ago, and what we may have begun before Redis lost its data."""
    now = max(EARLIEST + LOOK_FAR_BACK, *(change.occurred_at for change in known)) + ROUNDING
    # An end may be ahead of our clock, and starts the event of which only the end was heard of.
    last = max([now, *(change.event.ended_at + ROUNDING for change in known if change.event.ended_at)])
    forgotten = remembers_since + CLOCKS_DIFFER
    if forgotten < now:
        first = max(now - LOOK_BACK, forgotten)
        yield Search(EventFilter(started_from=first, started_to=last), MOST_REQUESTS)
    if now - LOOK_FAR_BACK < forgotten:
        until = last if now <= forgotten else forgotten
        yield Search(EventFilter(started_from=now - LOOK_FAR_BACK, started_to=until), MOST_TO_REMEMBER)


def _of_a_beginning(begun: Change, first: datetime, last: datetime, remembers_since: datetime) -> Search:
    """In one request, because a new Redis makes this necessary for each: of the same type and second."""
    first -= SAME_MOMENT
    if first >= remembers_since:
        # It says that it happened after Redis had lost its data: without a time of its own, this is when it
        # was received once more.
        first = remembers_since - LOOK_BACK
    return Search(EventFilter(begun.event.type.value, first, last + SAME_MOMENT), 1)


def _may_be_older(change: Change, remembers_since: datetime) -> bool:
    """Whether an event may have been created of it before Redis lost its data."""
    margin = FRESH_FOR if change.is_undated else CLOCKS_DIFFER
    return change.occurred_at < remembers_since + margin


def _has_begun(changes: Iterable[Change]) -> bool:
    """Whether the marker's beginning is known: until it was, nobody else has heard of it."""
    return all(change.effect in {Effect.OPEN, Effect.POINT} for change in changes)


def _moments(changes: Iterable[Change]) -> set[datetime]:
    known = tuple(changes)
    moments = {change.occurred_at for change in known}
    moments |= {change.event.started_at for change in known if change.event.started_at}
    moments |= {change.occurred_at - change.lasted for change in known if change.lasted}
    # Version 0.1 accepted times such as the year 1, from which no hour can be subtracted.
    return {max(moment, EARLIEST) for moment in moments}


def _is_start_known(changes: Iterable[Change]) -> bool:
    return any(change.lasted or _knows_start(change) for change in changes)


def _says_start(change: Change) -> bool:
    return change.sets is None or "started_at" in change.sets


def _knows_start(change: Change) -> bool:
    started_at = change.event.started_at
    return started_at is not None and _says_start(change) and started_at < change.occurred_at
