"""When to try a delivery again, by what went wrong with it."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from apitraffic_events.errors import EventsApiError, NotFound, RateLimited, Rejected, Unauthorised
from apitraffic_events.retrying import Backoff, requested_pause

SHORTEST_PAUSE: Final = 1.0
BACKOFF: Final = Backoff(first=2.0, longest=600.0, shortest=SHORTEST_PAUSE)
PAUSE_WHEN_REFUSED: Final = 60.0
"""Seconds between looks whether somebody has mended the token, the account or the address."""
PATIENCE: Final = timedelta(hours=72)
"""How long an API that fails may keep a delivery waiting before it goes to the dead letters."""
LONGEST_WAIT_FOR_BUDGET: Final = 86_400.0
"""Seconds; budgets are for an hour, so an API that names more than a day has slipped."""
SAID_ABOUT_THE_REQUEST: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Statuses that refuse a request even where no code of the API's comes with them."""


def pause_after(error: EventsApiError, *, tries: int, waiting_for: timedelta) -> float | None:
    """Seconds until the next try, or `None` where there is to be none.

    `tries` counts those that failed before, `waiting_for` is the time for which a failing API has kept the
    delivery waiting since it was accepted. Only the API's refusal and an outage longer than `PATIENCE` end
    the tries: a token that expired, a wrong address and a used-up budget are waited for without end.
    """
    requested = requested_pause(error)
    if isinstance(error, RateLimited):
        return _bounded(PAUSE_WHEN_REFUSED if requested is None else requested)
    if waits_for_a_person(error):
        return PAUSE_WHEN_REFUSED
    if is_refusal(error) or waiting_for > PATIENCE:
        return None
    return BACKOFF.pause(tries + 1) if requested is None else _bounded(requested)


def waits_for_a_person(error: EventsApiError) -> bool:
    """Whether the token, the account or the address is wrong: nothing is wrong with what was sent."""
    if isinstance(error, Unauthorised | NotFound):
        return True
    # A redirect, which only a wrong address gets.
    return isinstance(error, Rejected) and (error.status or HTTPStatus.BAD_REQUEST) < HTTPStatus.BAD_REQUEST


def is_refusal(error: EventsApiError) -> bool:
    """Whether the API itself refuses this request for good.

    It says so with a code of its own; a 4xx without one comes from something between here and there, and is
    as good as no answer.
    """
    if not isinstance(error, Rejected) or waits_for_a_person(error):
        return False
    return error.code is not None or error.status is None or error.status in SAID_ABOUT_THE_REQUEST


def is_outage(error: EventsApiError) -> bool:
    """Whether the API, or the way to it, fails: what counts towards `PATIENCE`."""
    return not (isinstance(error, RateLimited) or waits_for_a_person(error) or is_refusal(error))


def _bounded(seconds: float) -> float:
    return min(LONGEST_WAIT_FOR_BUDGET, max(SHORTEST_PAUSE, seconds))
