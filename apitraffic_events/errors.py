"""What can go wrong with a call to the Events API, told apart by what to do next."""

from dataclasses import dataclass
from datetime import datetime

from apitraffic_events.text import one_line

LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Our budget as of the last answer: requests in a window, those left, and when the next one begins."""

    limit: int
    remaining: int
    reset_at: datetime


class EventsApiError(Exception):
    """A call that did not do what it should. `message` is the API's own or says what happened.

    `code` is the API's (`VALIDATION_ERROR`), `status` the HTTP status; both `None` where there was no answer.
    `rate_limit` is the budget as of this answer, `retry_after` the seconds to wait where the API says so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        rate_limit: RateLimit | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = one_line(message, LONGEST_MESSAGE)
        self.code = code
        self.status = status
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        super().__init__(" ".join(part for part in (self.code, self.message) if part))


class Unreachable(EventsApiError):
    """No answer: refused, cut off or timed out. Try again; the request may have been carried out.

    `was_sent` is false where no connection was made, so that nothing can have happened.
    """

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class ServerFailed(EventsApiError):
    """The API failed (5xx, 408, 425), or its answer could not be read. Try again; it may have been done."""


class RateLimited(EventsApiError):
    """The budget is used up (429). Try again when `retry_after` or `rate_limit` says."""


class Unauthorised(EventsApiError):
    """The token is missing, wrong, expired, switched off or lacks a scope (401, 403). A person must act."""


class Rejected(EventsApiError):
    """The API refuses this request whoever sends it and however often (other 4xx)."""


class NotFound(Rejected):
    """There is no such event, bucket or account (404, 410)."""


class ConfigurationError(Exception):
    """What is wrong with the configuration and what to put there instead, a line for each thing."""
