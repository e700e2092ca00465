"""Event markers for ApiTraffic: receive webhooks, translate them, deliver them to the Events API.

Its Python API is `EventsClient` with `Event`, `EventType`, `EventUpdate`, `StoredEvent` and `EventsApiError`
(docs/cli.md). They are loaded when they are first asked for, as all parts of the product import this package.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from receiver.api_errors import EventsApiError
    from receiver.api_records import EventUpdate, StoredEvent
    from receiver.client import EventsClient
    from receiver.events import Event, EventType

__all__ = ["Event", "EventType", "EventUpdate", "EventsApiError", "EventsClient", "StoredEvent"]

# RQ reads the prefix of its Redis keys once, when it is first imported. Ours begin with `apitraffic:` like
# all keys of this product, so that a Redis shared with other RQ applications keeps them apart.
os.environ.setdefault("RQ_KEY_PREFIX", "apitraffic:rq")

if not TYPE_CHECKING:  # where types are checked, any other name is to be an error
    _MODULES = {
        "Event": "receiver.events",
        "EventType": "receiver.events",
        "EventUpdate": "receiver.api_records",
        "EventsApiError": "receiver.api_errors",
        "EventsClient": "receiver.client",
        "StoredEvent": "receiver.api_records",
    }

    def __getattr__(name: str) -> object:
        """One of `__all__`, https://peps.python.org/pep-0562/"""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
