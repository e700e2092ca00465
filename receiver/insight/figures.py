"""Where the figures of a verdict come from."""

from datetime import datetime, timedelta
from typing import Final, Protocol

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, NotFound, Rejected, Unauthorised
from apitraffic_events.metrics import SCOPE
from receiver.insight.verdict import Figures

STEP: Final = timedelta(milliseconds=1)
"""The smallest difference between times that the API documents."""


class NoFigures(Exception):
    """There are no figures; the message says why, to people.

    `is_lasting` says that asking again later does not help until somebody changes something.
    """

    def __init__(self, message: str, *, is_lasting: bool) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class FigureSource(Protocol):
    def figures(self, start: datetime, end: datetime, bucket: str | None, environment: str | None) -> Figures:
        """The traffic from `start` up to `end`, of one bucket and one environment or of all (`None`).

        Raises `NoFigures`.
        """


class ApiFigures:
    """ApiTraffic's own `metrics/summary`: one request for each window."""

    def __init__(self, client: EventsClient) -> None:
        self._client = client

    def figures(self, start: datetime, end: datetime, bucket: str | None, environment: str | None) -> Figures:
        """As `FigureSource`. The reference does not say whether `endDate` belongs to the period: it is sent
        as a millisecond before `end`, so that two windows that touch count no request twice.
        """
        try:
            summary = self._client.metrics_summary(start, end - STEP, bucket=bucket, environment=environment)
        except Unauthorised as error:
            raise NoFigures(
                f"the API token may not read metrics; give it the scope {SCOPE}", is_lasting=True
            ) from error
        except NotFound as error:
            what = "has no metrics" if bucket is None and environment is None else "has no metrics of these"
            raise NoFigures(f"the API {what} ({error.message})", is_lasting=True) from error
        except Rejected as error:
            raise NoFigures(f"the API refuses to say: {error.message}", is_lasting=True) from error
        except EventsApiError as error:
            raise NoFigures(f"the API did not say: {error.message}", is_lasting=False) from error
        if summary.requests is None:
            raise NoFigures("the API's summary does not say how many requests there were", is_lasting=True)
        return Figures(summary.requests, summary.errors, summary.average_response_time, summary.error_kind)
