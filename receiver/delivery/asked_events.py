"""Events that people and assistants ask for, read from the API. Redis need not know them."""

import re
from contextlib import suppress
from datetime import timedelta
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import NotFound
from apitraffic_events.event import EventType
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import now
from receiver.delivery.creation import JOINED_BY
from receiver.delivery.lookup import LONGEST_JOB, MOST_TO_REMEMBER, Search, events_of, find_event, is_marker
from receiver.insight.records import Record, record_of
from receiver.insight.verdict import Windows

SID: Final = re.compile(r"[A-Za-z0-9_-]+")
"""What may be a SID; nearly all marker keys have a colon."""
LOOK_BACK: Final = timedelta(days=7)
"""How long ago the event of a marker key may have begun."""


def event_named(client: EventsClient, name: str) -> StoredEvent | None:
    """The event with this SID, or with this marker key if it began within `LOOK_BACK`.

    `None` if there is none. Raises `EventsApiError`.
    """
    if SID.fullmatch(name):
        with suppress(NotFound):
            return client.get_event(name)
    search = Search(EventFilter(started_from=now() - LOOK_BACK), MOST_TO_REMEMBER)

    def is_it(event: StoredEvent) -> bool:
        return is_marker(event, {name}) or event.metadata.get(JOINED_BY) == name

    return find_event(events_of(client, search), is_it)


def around_deploy(client: EventsClient, windows: Windows) -> tuple[Record, ...]:
    """Deploys that may have lasted into the windows, and incidents that began in the later one.

    Their keys are their SIDs. Raises `EventsApiError`.
    """
    (start, _), (ended, end) = windows.before, windows.after
    deploys = EventFilter(EventType.DEPLOYMENT.value, start - LONGEST_JOB, end)
    incidents = EventFilter(EventType.INCIDENT.value, ended, end)
    found = events_of(client, Search(deploys, MOST_TO_REMEMBER), Search(incidents, MOST_TO_REMEMBER))
    records = (record_of(event, event.sid) for event in found)
    return tuple(record for record in records if record is not None)
