"""Finding an event in the API before creating one that may exist already."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import (
    EventsApiError,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.records import StoredEvent
from receiver.events import marker_key

LOOK_AROUND: Final = timedelta(hours=1)
"""How far around its start an event is searched for; wide enough for an API that rounds or shifts it."""
GAVE_UP_WAITING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
)
"""Answers of a proxy in front of the API, which may still carry the request out."""


def find_event(
    client: EventsClient,
    moments: Iterable[datetime],
    is_it: Callable[[StoredEvent], bool],
    may_be_it: Callable[[StoredEvent], bool] = lambda _: False,
) -> StoredEvent | None:
    """The event that started around these moments; if there is none, the first that may be it.

    Raises `EventsApiError` if the API cannot be asked.
    """
    possible = None
    for event in events_around(client, moments):
        if is_it(event):
            return event
        if possible is None and may_be_it(event):
            possible = event
    return possible


def events_around(client: EventsClient, moments: Iterable[datetime]) -> Iterator[StoredEvent]:
    """The events that started around these moments, page by page; raises as `find_event`."""
    times = tuple(moments)
    return client.iter_events(started_from=min(times) - LOOK_AROUND, started_to=max(times) + LOOK_AROUND)


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
    """Whether a create request that ended with this error has certainly created nothing."""
    return isinstance(error, Rejected | Unauthorised | RateLimited) or (
        isinstance(error, Unreachable) and not error.was_sent
    )


def is_over(error: EventsApiError) -> bool:
    """Whether the API itself answered: it may have carried the request out, but will not do so later."""
    return isinstance(error, ServerFailed) and error.status not in GAVE_UP_WAITING
