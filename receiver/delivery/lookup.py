"""Whether the API has an event already: asked before one is created that may have been."""

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

LOOK_AROUND: Final = timedelta(hours=1)
"""How far from its start an event is looked for; wide enough for an API that rounds or shifts it."""
GAVE_UP_WAITING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
)
"""Answers of something before the API, which may still be at it."""


def find_event(
    client: EventsClient, moments: Iterable[datetime], is_it: Callable[[StoredEvent], bool]
) -> StoredEvent | None:
    """The event that started around these moments; raises `EventsApiError` where the API cannot be asked."""
    times = tuple(moments)
    listed = client.iter_events(started_from=min(times) - LOOK_AROUND, started_to=max(times) + LOOK_AROUND)
    return next((event for event in listed if is_it(event)), None)


def is_marker(event: StoredEvent, names: Collection[str]) -> bool:
    """Whether it was made for the marker of any of these names."""
    return event.metadata.get("marker_key") in names


def was_surely_not_done(error: EventsApiError) -> bool:
    """Whether a create that ended like this has left nothing in the API."""
    return isinstance(error, Rejected | Unauthorised | RateLimited) or (
        isinstance(error, Unreachable) and not error.was_sent
    )


def is_over(error: EventsApiError) -> bool:
    """Whether the API itself answered: it may have done it or not, and will not do it any more."""
    return isinstance(error, ServerFailed) and error.status not in GAVE_UP_WAITING
