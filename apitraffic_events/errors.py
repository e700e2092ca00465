"""Errors of calls to the Events API: one class for each thing that a caller can do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from apitraffic_events.text import one_line

LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The request budget: requests allowed in a window, requests left, and when the next window begins."""

    limit: int
    remaining: int
    reset_at: datetime


class EventsApiError(Exception):
    """A call failed. `message` is the API's message, or says what happened.

    `code` is the API's error code (`VALIDATION_ERROR`) and `status` the HTTP status; both are `None` if there
    was no response. `rate_limit` is the budget that the response states, `retry_after` the seconds that it
    asks to wait. `fields` says what is wrong with which field of the request, as far as the API says so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        rate_limit: RateLimit | None = None,
        retry_after: float | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self.message = one_line(message, LONGEST_MESSAGE)
        self.code = code
        self.status = status
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        self.fields = {name: one_line(text, LONGEST_MESSAGE) for name, text in (fields or {}).items()}
        super().__init__(" ".join(part for part in (self.code, self.message) if part))


class Unreachable(EventsApiError):
    """There was no response: the connection was refused, cut off or timed out. Retry.

    The request may have been carried out, unless `was_sent` is false: then there was no connection.
    `is_lasting` says that no connection can be made, as nobody listens there or the host is unknown. Seconds
    seldom change that.
    """

    def __init__(self, message: str, *, was_sent: bool, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.was_sent = was_sent
        self.is_lasting = is_lasting


class ServerFailed(EventsApiError):
    """The API failed (5xx, 408, 425), or its response is unreadable. Retry; it may have been carried out."""


class RateLimited(EventsApiError):
    """The request budget is used up (429). Retry when `retry_after` or `rate_limit` says."""


class Unauthorised(EventsApiError):
    """The token is missing, wrong, expired, disabled or lacks a scope (401, 403). Retrying does not help."""


class Rejected(EventsApiError):
    """The API refuses this request, and would refuse it again (other 4xx)."""


class NotFound(Rejected):
    """The event, bucket or account does not exist (404, 410)."""


class ConfigurationError(Exception):
    """The configuration is wrong. The message says what to change, one line per mistake."""
