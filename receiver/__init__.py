"""Event markers for ApiTraffic: receive webhooks, translate them, deliver them to the Events API.

The Python library is `apitraffic_events`; its names are still found here, with a `DeprecationWarning`.
"""

import warnings
from typing import TYPE_CHECKING

_MOVED = ("Event", "EventType", "EventUpdate", "EventsApiError", "EventsClient", "StoredEvent")

if TYPE_CHECKING:
    from apitraffic_events import (
        Event as Event,
    )
    from apitraffic_events import (
        EventsApiError as EventsApiError,
    )
    from apitraffic_events import (
        EventsClient as EventsClient,
    )
    from apitraffic_events import (
        EventType as EventType,
    )
    from apitraffic_events import (
        EventUpdate as EventUpdate,
    )
    from apitraffic_events import (
        StoredEvent as StoredEvent,
    )
else:  # a type checker is to report any other name as missing

    def __getattr__(name: str) -> object:
        """A name that has moved to `apitraffic_events`, https://peps.python.org/pep-0562/"""
        if name not in _MOVED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"import {name} from apitraffic_events; receiver.{name} will be removed in version 1.0",
            DeprecationWarning,
            stacklevel=2,
        )
        import apitraffic_events  # noqa: PLC0415 - only those who still ask here load it

        return getattr(apitraffic_events, name)
