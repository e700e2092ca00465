"""Finding an event in the API before creating one that may exist already."""

from collections.abc import Callable, Collection, Iterable
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
    client: EventsClient, moments: Iterable[datetime], is_it: Callable[[StoredEvent], bool]
) -> StoredEvent | None:
    """The event that started around these moments; raises `EventsApiError` if the API cannot be asked."""
    times = tuple(moments)
    listed = client.iter_events(started_from=min(times) - LOOK_AROUND, started_to=max(times) + LOOK_AROUND)
    return next((event for event in listed if is_it(event)), None)


def is_marker(event: StoredEvent, names: Collection[str]) -> bool:
    """Whether the event was created for a marker with one of these names.

    Who creates it without the receiver may have stored a longer key than the receiver does.
    """
    key = event.metadata.get("marker_key")
    return isinstance(key, str) and (key in names or marker_key(key) in names)


def was_surely_not_done(error: EventsApiError) -> bool:
    """Whether a create request that ended with this error has certainly created nothing."""
    return isinstance(error, Rejected | Unauthorised | RateLimited) or (
        isinstance(error, Unreachable) and not error.was_sent
    )


def is_over(error: EventsApiError) -> bool:
    """Whether the API itself answered: it may have carried the request out, but will not do so later."""
    return isinstance(error, ServerFailed) and error.status not in GAVE_UP_WAITING
