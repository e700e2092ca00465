"""Where the figures of a verdict come from."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import EventsApiError, NotFound, Rejected, Unauthorised
from apitraffic_events.metrics import SCOPE
from receiver.insight.verdict import Figures
from receiver.senders_api.prometheus import Prometheus, QueryFailed

PROMETHEUS: Final = "Prometheus"
"""The kind of its errors: its queries say what they are."""
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


class PrometheusQueries(Protocol):
    """Three queries in PromQL. `$window` in them stands for the length of the window."""

    @property
    def requests(self) -> str: ...
    @property
    def errors(self) -> str: ...
    @property
    def mean_response(self) -> str:
        """Gives seconds."""


class PrometheusSettings(PrometheusQueries, Protocol):
    """As `[verdict.prometheus]` has them."""

    @property
    def url(self) -> str: ...
    @property
    def buckets(self) -> Mapping[str, PrometheusQueries]:
        """A bucket's SID -> its own queries."""

    @property
    def environments(self) -> tuple[str, ...] | None:
        """The environments that the queries count; `None` for all."""


def figure_source(
    client: EventsClient, prometheus: PrometheusSettings | None = None, token: str | None = None
) -> FigureSource:
    """A Prometheus if one is set up, otherwise the API. `token` is the Prometheus' bearer token."""
    return ApiFigures(client) if prometheus is None else PrometheusFigures(prometheus, token)


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
            what = (
                "has no metrics"
                if bucket is None and environment is None
                else "has no metrics for this bucket or environment"
            )
            raise NoFigures(f"the API {what} ({error.message})", is_lasting=True) from error
        except Rejected as error:
            raise NoFigures(
                f"the API refuses the request for metrics: {error.message}", is_lasting=True
            ) from error
        except EventsApiError as error:
            raise NoFigures(f"the API did not return metrics: {error.message}", is_lasting=False) from error
        if summary.requests is None:
            raise NoFigures("the API's summary does not say how many requests there were", is_lasting=True)
        return Figures(summary.requests, summary.errors, summary.average_response_time, summary.error_kind)


class PrometheusFigures:
    """Three queries for each window, each evaluated at its end."""

    def __init__(self, settings: PrometheusSettings, token: str | None = None) -> None:
        self._settings = settings
        self._server = Prometheus(settings.url, token)

    def figures(self, start: datetime, end: datetime, bucket: str | None, environment: str | None) -> Figures:
        """As `FigureSource`. There are none of a bucket that no queries count, rather than those of all."""
        queries = self._queries_for(bucket, environment)
        window = f"{round((end - start).total_seconds())}s"

        def ask(name: str, query: str) -> float | None:
            try:
                return self._server.value(query.replace("$window", window), end)
            except QueryFailed as failure:
                raise NoFigures(
                    f"the query `{name}` in [verdict.prometheus] failed: {failure}",
                    is_lasting=failure.is_lasting,
                ) from failure

        requests = ask("requests", queries.requests)
        errors = ask("errors", queries.errors)
        seconds = ask("mean_response", queries.mean_response)
        return Figures(requests, errors, None if seconds is None else seconds * 1000, PROMETHEUS)

    def _queries_for(self, bucket: str | None, environment: str | None) -> PrometheusQueries:
        counted = self._settings.environments
        if environment is not None and counted is not None and environment not in counted:
            raise NoFigures(
                f"the queries in [verdict.prometheus] do not count the environment {environment}",
                is_lasting=True,
            )
        if bucket is None:
            return self._settings
        try:
            return self._settings.buckets[bucket]
        except KeyError:
            raise NoFigures(
                f"there are no queries for the bucket {bucket}; write them in [verdict.prometheus.buckets]",
                is_lasting=True,
            ) from None
