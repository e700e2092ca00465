"""Asking the API for the deploys before one, for who creates its event without the receiver."""

from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError
from apitraffic_events.event import Event, EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import EventPage
from receiver.insight.direct import is_of_a_history

LONGEST: Final = 3.0
"""Seconds. A deploy must not wait for what its marker says of others."""
SHARE: Final = 0.25
"""Of the time for all requests."""


def earlier_deploys(client: EventsClient, event: Event, seconds: float) -> EventPage | None:
    """One page of deploys, the latest first if the API lists them so; `None` if there is none to be had.

    Takes no longer than a part of the `seconds` for all requests. Never raises.
    """
    if not is_of_a_history(event):
        return None
    client.wait_at_most(min(LONGEST, seconds * SHARE))
    wanted = EventFilter(EventType.DEPLOYMENT.value, started_to=event.ended_at or event.started_at)
    try:
        return client.list_page(wanted)
    except EventsApiError:
        return None
