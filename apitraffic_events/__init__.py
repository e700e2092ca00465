"""The client library for ApiTraffic's Events API.

    from apitraffic_events import EventsClient, Event, EventType

    with EventsClient.from_env() as client:
        client.create_event(Event(type=EventType.DEPLOYMENT, name="Deploy acme/shop v2.3.1 to production"))

Names are loaded on first use, so importing the package costs next to nothing (https://peps.python.org/pep-0562/).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apitraffic_events.client import EventsClient
    from apitraffic_events.errors import ConfigurationError, EventsApiError
    from apitraffic_events.event import Event, EventType
    from apitraffic_events.records import EventUpdate, StoredEvent

    __version__: str

__all__ = [
    "ConfigurationError",
    "Event",
    "EventType",
    "EventUpdate",
    "EventsApiError",
    "EventsClient",
    "StoredEvent",
    "__version__",
]

if not TYPE_CHECKING:  # a type checker is to report any other name as missing
    _HOMES = {
        "ConfigurationError": "errors",
        "Event": "event",
        "EventType": "event",
        "EventUpdate": "records",
        "EventsApiError": "errors",
        "EventsClient": "client",
        "StoredEvent": "records",
    }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - it reads the installed package's files

            return version("apitraffic-events")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
