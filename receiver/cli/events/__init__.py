"""`apitraffic-events events`: the commands are in `commands`, and what they do beside it."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "check": "Say what a deploy did to the API's traffic.",
    "close": "End an event, such as an incident.",
    "create": "Create an event.",
    "delete": "Delete an event.",
    "get": "Show an event with all its fields.",
    "list": "List the latest events, newest first.",
    "update": "Change the given fields of an event; other fields stay as they are.",
}


@click.group(
    "events",
    cls=LazyGroup,
    places={
        "check": f"{__name__}.commands:check",
        "close": f"{__name__}.commands:close",
        "create": f"{__name__}.commands:create",
        "delete": f"{__name__}.commands:delete",
        "get": f"{__name__}.commands:get",
        "list": f"{__name__}.commands:list_",
        "update": f"{__name__}.commands:update",
    },
    summaries=SUMMARIES,
)
def command() -> None:
    """Create, list, change and close events in ApiTraffic.

    These commands call the Events API directly. They need neither the receiver nor Redis, only
    APITRAFFIC_API_TOKEN and APITRAFFIC_ACCOUNT_SID.

    Exit codes: 0; 2 wrong usage; 3 not configured; 4 refused by the API; 5 API not reached in time.
    """
