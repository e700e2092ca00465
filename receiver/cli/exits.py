"""Exit codes of the commands for events and the queue: 2 wrong usage, 3 not configured, 4 refused by the API,
5 API or Redis not reachable (docs/cli.md).

After `Error: `, the messages begin as those of the CI plugins do (docs/ci-plugins.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import click

from apitraffic_events.errors import (
    ConfigurationError,
    EventsApiError,
    NotFound,
    Rejected,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.retrying import OutOfTime
from apitraffic_events.text import one_line
from receiver.delivery.scopes import UnknownPlace

LONGEST_PROBLEM: Final = 1_000
ADVICE: Final[dict[int | None, str]] = {
    HTTPStatus.UNAUTHORIZED: "check APITRAFFIC_API_TOKEN: it may have expired or been switched off",
    HTTPStatus.FORBIDDEN: "check APITRAFFIC_ACCOUNT_SID, and what the token is allowed to do",
    HTTPStatus.NOT_FOUND: "check the SID, APITRAFFIC_ACCOUNT_SID and APITRAFFIC_API_URL",
}
NO_CONNECTION: Final = "check APITRAFFIC_API_URL, and whether this host may connect to it"


class Problem(click.ClickException):
    """An error that is shown as one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line("; ".join(message.splitlines()), LONGEST_PROBLEM))


class WrongPlace(Problem):
    """A bucket or environment that does not exist in the account."""

    exit_code = click.UsageError.exit_code


class NotConfigured(Problem):
    exit_code = 3


class Refused(Problem):
    exit_code = 4


class NotReachable(Problem):
    exit_code = 5


@contextmanager
def api_problems(what: str = "request") -> Iterator[None]:
    """Raises a `Problem` if the API is not configured, cannot be reached or refuses `what` was sent."""
    try:
        yield
    except ConfigurationError as error:
        raise NotConfigured(f"ApiTraffic is not configured: {error}") from error
    except UnknownPlace as error:
        raise WrongPlace(f"ApiTraffic: {error}") from error
    except (Rejected, Unauthorised) as error:
        raise Refused(f"ApiTraffic refused the {what}: {_words(error)}") from error
    except (OutOfTime, EventsApiError) as error:
        last = error.__cause__ if isinstance(error, OutOfTime) else error
        advice = f"; {NO_CONNECTION}" if isinstance(last, Unreachable) and last.is_lasting else ""
        raise NotReachable(f"ApiTraffic could not be reached: {error}{advice}") from error


def _words(error: EventsApiError) -> str:
    said = f"{error.status or ''} {error}".strip().rstrip(".")
    advice = ADVICE.get(
        HTTPStatus.NOT_FOUND if isinstance(error, NotFound) else HTTPStatus(error.status or 400)
    )
    return f"{said}; {advice}" if advice else said
