"""When to retry a delivery, by the error that it ended with."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from apitraffic_events.errors import EventsApiError, NotFound, RateLimited, Rejected, Unauthorised
from apitraffic_events.retrying import Backoff, requested_pause

SHORTEST_PAUSE: Final = 1.0
BACKOFF: Final = Backoff(first=2.0, longest=600.0, shortest=SHORTEST_PAUSE)
PAUSE_WHEN_REFUSED: Final = 60.0
"""Seconds between attempts while the token, the account or the address is wrong."""
PATIENCE: Final = timedelta(hours=72)
"""How long a failing API may keep a delivery waiting before it becomes a dead letter."""
LONGEST_WAIT_FOR_BUDGET: Final = 86_400.0
"""Seconds; budgets are for an hour, so a wait of more than a day is a mistake of the API."""
SAID_ABOUT_THE_REQUEST: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Statuses that refuse a request even if the answer has no code of the API."""


class EventRefused(Rejected):
    """The API refuses this event (403) although it accepts the token: a firewall may dislike its words."""


def pause_after(error: EventsApiError, *, attempts: int, waiting_for: timedelta) -> float | None:
    """Seconds until the next attempt, or `None` if there is to be none.

    `attempts` counts those that failed before; `waiting_for` is how long a failing API has kept the delivery
    waiting since it was accepted. Only a refusal by the API and an outage longer than `PATIENCE` end the
    retries. With an expired token, a wrong address or an exhausted budget they go on without end.
    """
    requested = requested_pause(error)
    if isinstance(error, RateLimited):
        return _bounded(PAUSE_WHEN_REFUSED if requested is None else requested)
    if needs_operator(error):
        return PAUSE_WHEN_REFUSED
    if is_refusal(error) or waiting_for > PATIENCE:
        return None
    return BACKOFF.pause(attempts + 1) if requested is None else _bounded(requested)


def what_to_check(account: str | None) -> str:
    """What an operator does if `needs_operator` says so."""
    settings = (
        "APITRAFFIC_API_TOKEN, APITRAFFIC_ACCOUNT_SID and APITRAFFIC_API_URL"
        if account is None
        else f"the SID, the token and the URL of [account.{account}] in apitraffic.toml"
    )
    return f"check {settings}; what is accepted is kept, and delivery goes on by itself"


def needs_operator(error: EventsApiError) -> bool:
    """Whether the token, the account or the address is wrong, and not what was sent."""
    if isinstance(error, Unauthorised | NotFound):
        return True
    # A redirect, which only a wrong address gets.
    return isinstance(error, Rejected) and (error.status or HTTPStatus.BAD_REQUEST) < HTTPStatus.BAD_REQUEST


def is_refusal(error: EventsApiError) -> bool:
    """Whether the API itself refuses this request for good.

    The API says so with a code of its own. A 4xx without one comes from something in between, such as a
    proxy, and counts as no answer.
    """
    if not isinstance(error, Rejected) or needs_operator(error):
        return False
    return (
        isinstance(error, EventRefused)
        or error.code is not None
        or error.status is None
        or error.status in SAID_ABOUT_THE_REQUEST
    )


def is_outage(error: EventsApiError) -> bool:
    """Whether the API cannot be reached or fails; this counts towards `PATIENCE`."""
    return not (isinstance(error, RateLimited) or needs_operator(error) or is_refusal(error))


def _bounded(seconds: float) -> float:
    return min(LONGEST_WAIT_FOR_BUDGET, max(SHORTEST_PAUSE, seconds))
