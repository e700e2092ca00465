"""The account's events as the console knows them: read from the API once, and kept up to date while somebody
looks.

The API has a budget of some thousand requests an hour, which deliveries need. So all viewers share one copy,
nothing is asked while nobody looks, and what is asked takes at most a tenth of the budget.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeVar

from apitraffic_events import Event, EventsApiError, EventsClient, EventType, EventUpdate, StoredEvent
from apitraffic_events.errors import NotFound, RateLimit, RateLimited
from apitraffic_events.timestamps import now
from receiver.console.markers import Marker, marker_of

SHARE: Final = 0.1
"""Of the API's budget."""
BUDGET_WINDOW: Final = 3600.0
QUICKEST: Final = timedelta(seconds=2)
SLOWEST: Final = timedelta(seconds=60)
"""Between two looks at the newest events."""
WHOLE_AGAIN: Final = timedelta(minutes=5)
"""After this long, what has been read is read again: somebody may have changed an old event."""
NAMES_FOR: Final = timedelta(minutes=5)
MOST_EVENTS: Final = 10_000
"""The newest ones of a period; no chart shows more."""
BEGAN_BEFORE: Final = timedelta(days=1)
"""How long before a period what lasts into it may have begun. Open incidents may have begun at any time."""
MOST_OPEN: Final = 5
"""Open incidents before the newest page that are looked at each time, for their ends."""
ANSWER_WITHIN: Final = 8.0
"""Seconds that a page waits for the API."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Places:
    """The account's buckets and environments: SID -> name."""

    buckets: Mapping[str, str]
    environments: Mapping[str, str]


NOWHERE: Final = Places(MappingProxyType({}), MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one moment. `markers` are the newest first, and all since `since`.

    `version` changes with anything that a page shows of it. `problem` says why it could not be read again.
    """

    markers: tuple[Marker, ...] = ()
    places: Places = NOWHERE
    since: datetime | None = None
    read_at: datetime | None = None
    version: int = 0
    problem: str | None = None
    is_cut: bool = False
    """Whether there are more than `MOST_EVENTS`."""


class KnownEvents:
    """`connect` makes a client, which only this uses. All methods but `since` raise `EventsApiError`."""

    def __init__(self, connect: Callable[[], EventsClient], clock: Callable[[], datetime] = now) -> None:
        self._connect = connect
        self._clock = clock
        self._client: EventsClient | None = None
        self._calling = threading.Lock()
        self._known = Known()
        self._events: dict[str, StoredEvent] = {}
        self._looked_at: datetime | None = None
        self._whole_at: datetime | None = None
        self._names_at: datetime | None = None

    def since(self, started_from: datetime) -> Known:
        """What is known, read from the API first if that is due. Never raises: `problem` says what failed.

        A request that comes while another thread reads gets what was known before, unless that is too little.
        """
        started_from -= BEGAN_BEFORE
        known = self._known
        is_enough = known.since is not None and known.since <= started_from
        is_wanted = self._is_due() or not (is_enough or self._has_just_failed())
        if is_wanted and self._calling.acquire(blocking=not is_enough):
            try:
                self._read(started_from)
            finally:
                self._calling.release()
        return self._known

    def places(self) -> Places:
        """As far as they are known."""
        return self._known.places

    def named_places(self) -> Places:
        """As far as they can be read."""
        if self._known.places is NOWHERE:
            self.since(self._clock())
        return self._known.places

    def get(self, sid: str) -> StoredEvent:
        """One event, as the API has it now."""
        event = self._call(lambda client: client.get_event(sid))
        self._put(event)
        return event

    def create(self, event: Event) -> StoredEvent:
        return self._put(self._call(lambda client: client.create_event(event)))

    def update(self, sid: str, update: EventUpdate) -> StoredEvent:
        return self._put(self._call(lambda client: client.update_event(sid, update)))

    def delete(self, sid: str) -> None:
        self._call(lambda client: client.delete_event(sid))
        with self._calling:
            if self._events.pop(sid, None) is not None:
                self._publish()

    def ask(self, question: Callable[[EventsClient], ResultT]) -> ResultT:
        """Use the client for something else, such as metrics."""
        return self._call(question)

    def _call(self, question: Callable[[EventsClient], ResultT]) -> ResultT:
        with self._calling:
            return question(self._api())

    def _put(self, event: StoredEvent) -> StoredEvent:
        with self._calling:
            if self._events.get(event.sid) != event:
                self._events[event.sid] = event
                self._publish()
        return event

    def _api(self) -> EventsClient:
        if self._client is None:
            self._client = self._connect()
            self._client.wait_at_most(ANSWER_WITHIN)
        return self._client

    def _is_due(self) -> bool:
        return self._looked_at is None or self._clock() >= self._looked_at + self.interval()

    def _has_just_failed(self) -> bool:
        return self._known.problem is not None and not self._is_due()

    def interval(self) -> timedelta:
        """How long to leave the API alone, by the budget that it announces."""
        limit: RateLimit | None = self._client.rate_limit if self._client else None
        if limit is None:
            return QUICKEST
        if limit.remaining < limit.limit * SHARE:
            return SLOWEST
        wanted = timedelta(seconds=BUDGET_WINDOW / max(1.0, limit.limit * SHARE))
        return min(SLOWEST, max(QUICKEST, wanted))

    def _read(self, started_from: datetime) -> None:
        moment = self._clock()
        try:
            self._read_names(moment)
            is_whole = self._whole_at is not None and moment < self._whole_at + WHOLE_AGAIN
            if self._known.since is None or not is_whole:
                earliest = min(started_from, self._known.since or started_from)
                self._read_all(earliest, moment)
            else:
                if started_from < self._known.since:
                    self._read_earlier(started_from, self._known.since)
                self._read_newest()
            problem = None
        except EventsApiError as error:
            problem = in_words(error)
        self._looked_at = self._clock()
        if problem is None:
            self._publish(read_at=moment)
        elif problem != self._known.problem:
            self._known = replace(self._known, problem=problem, version=self._known.version + 1)

    def _read_names(self, moment: datetime) -> None:
        if self._names_at is not None and moment < self._names_at + NAMES_FOR:
            return
        client = self._api()
        buckets = {bucket.sid: bucket.name or bucket.sid for bucket in client.list_buckets()}
        try:
            environments = {place.sid: place.name or place.sid for place in client.list_environments()}
        except NotFound:
            environments = {}  # The reference does not say that there is such a list.
        places = Places(MappingProxyType(buckets), MappingProxyType(environments))
        self._names_at = moment
        if places != self._known.places:
            self._known = replace(self._known, places=places)

    def _read_all(self, since: datetime, moment: datetime) -> None:
        self._events, is_cut = self._list(since, None)
        incidents = self._api().list_events(type=EventType.INCIDENT.value).records
        self._events |= {event.sid: event for event in incidents if event.ended_at is None}
        self._whole_at = moment
        self._known = replace(self._known, since=since, is_cut=is_cut)

    def _read_earlier(self, since: datetime, until: datetime) -> None:
        found, is_cut = self._list(since, until)
        self._events |= found
        self._known = replace(self._known, since=since, is_cut=is_cut or self._known.is_cut)

    def _list(self, since: datetime, until: datetime | None) -> tuple[dict[str, StoredEvent], bool]:
        found: dict[str, StoredEvent] = {}
        for event in self._api().iter_events(started_from=since, started_to=until):
            if len(found) >= MOST_EVENTS:
                return found, True
            found[event.sid] = event
        return found, False

    def _read_newest(self) -> None:
        """The first page, which also shows what of its period has been deleted, and the ends of incidents."""
        client = self._api()
        page = client.list_events(started_from=self._known.since)
        listed = {event.sid: event for event in page.records}
        starts = [event.started_at for event in page.records if event.started_at is not None]
        oldest = min(starts) if page.has_more and starts else self._known.since
        for sid, event in list(self._events.items()):
            if sid not in listed and event.started_at and oldest and event.started_at > oldest:
                del self._events[sid]
        self._events |= listed
        still_open = [marker for marker in self._known.markers if marker.is_open and marker.sid not in listed]
        for marker in still_open[:MOST_OPEN]:
            try:
                self._events[marker.sid] = client.get_event(marker.sid)
            except NotFound:
                self._events.pop(marker.sid, None)

    def _publish(self, read_at: datetime | None = None) -> None:
        """Make what has been read the state that pages see; its version only changes if something has."""
        known = self._known
        before = {marker.sid: marker for marker in known.markers}
        markers = []
        for sid, event in self._events.items():
            old = before.get(sid)
            is_same = old is not None and (old.event is event or old.event == event)
            marker = old if is_same else marker_of(event, known.places.environments)
            if marker is not None:
                markers.append(marker)
        markers.sort(key=lambda marker: marker.started_at, reverse=True)
        is_changed = tuple(markers) != known.markers or known.problem is not None
        self._known = replace(
            known,
            markers=tuple(markers) if is_changed else known.markers,
            read_at=read_at or known.read_at,
            problem=None if read_at else known.problem,
            version=known.version + is_changed,
        )


def in_words(error: EventsApiError) -> str:
    """What a page says of a failed call, and what to do."""
    if isinstance(error, RateLimited):
        return f"The Events API's request budget is used up ({error.message})."
    if error.status is None:
        return f"The Events API does not answer: {error.message}."
    return f"The Events API answered {error.status}: {error.message.rstrip('.')}."
