"""The client of the Events API: typed models in and out, one open connection, typed errors."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from requests.adapters import HTTPAdapter

from apitraffic_events.connection import CONNECT_TIMEOUT, READ_TIMEOUT, ApiConnection, Pacer
from apitraffic_events.environment import DEFAULT_API_URL, read_variable
from apitraffic_events.errors import ConfigurationError, EventsApiError, RateLimit, Rejected
from apitraffic_events.event import Event
from apitraffic_events.filters import EventFilter, FilterSpellings
from apitraffic_events.metrics import Interval, MetricsSummary, ThroughputPoint
from apitraffic_events.paging import iter_matching, iter_pages
from apitraffic_events.records import ApiToken, Bucket, Environment, EventPage, EventUpdate, StoredEvent
from apitraffic_events.responses import (
    RecordT,
    read_points,
    read_record,
    read_records,
    read_summary,
    records_in,
)
from apitraffic_events.timestamps import format_timestamp

LARGEST_PAGE: Final = 100
WRONG_METHOD: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
REFUSED_PARAMETERS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


class EventsClient:
    """Calls the Events API for one account. Not thread-safe: use one client per thread.

    `api_url` ends in the version (`https://api.apitraffic.io/v1`). Every method raises a subclass of
    `EventsApiError` if it fails; none retries by itself. `rate_limit` and `date` are what the last response
    said: the request budget and the API's clock. `filters` is what has been learnt of the list's filters.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        token: str,
        api_url: str = DEFAULT_API_URL,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        pacer: Pacer | None = None,
        adapter: HTTPAdapter | None = None,
    ) -> None:
        self.account_url = f"{api_url.rstrip('/')}/accounts/{quote(account_sid, safe='')}"
        self._connection = ApiConnection(
            self.account_url,
            token,
            timeouts=(connect_timeout, read_timeout),
            pacer=pacer,
            adapter=adapter,
        )
        self._update_methods = ["PATCH", "PUT"]
        self.filters = FilterSpellings()
        self._has_milliseconds = True
        self._knows_form_of_times = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """A client for the account in `APITRAFFIC_ACCOUNT_SID`, with the token in `APITRAFFIC_API_TOKEN`.

        Each variable may name a file instead (`APITRAFFIC_API_TOKEN_FILE`); `APITRAFFIC_API_URL` is optional.
        Raises `ConfigurationError` if one is missing or unusable.
        """
        values = {}
        for name in ("APITRAFFIC_ACCOUNT_SID", "APITRAFFIC_API_TOKEN"):
            value = read_variable(name, environ)
            if value is None:
                raise ConfigurationError(f"{name} is not set; copy it from ApiTraffic's settings")
            values[name] = value
        try:
            return cls(
                api_url=read_variable("APITRAFFIC_API_URL", environ) or DEFAULT_API_URL,
                account_sid=values["APITRAFFIC_ACCOUNT_SID"],
                token=values["APITRAFFIC_API_TOKEN"],
            )
        except ValueError as error:
            raise ConfigurationError(f"APITRAFFIC_API_TOKEN: {error}; copy it again") from None

    @property
    def date(self) -> datetime | None:
        return self._connection.date

    @property
    def requests_made(self) -> int:
        """How many requests were sent so far, also in vain."""
        return self._connection.requests_made

    @property
    def rate_limit(self) -> RateLimit | None:
        return self._connection.rate_limit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def wait_at_most(self, seconds: float) -> None:
        """From now on, wait at most this long for a connection and for a response."""
        self._connection.wait_at_most(seconds)

    def create_event(self, event: Event, *, before_sending: Callable[[], None] | None = None) -> StoredEvent:
        """Create it. `before_sending` is called when all is ready, just before the request leaves."""
        body = event.model_dump_json(by_alias=True, exclude_none=True)
        data, _ = self._connection.call("POST", "/events", body=body, before_sending=before_sending)
        return read_record(StoredEvent, data)

    def get_event(self, sid: str) -> StoredEvent:
        return read_record(StoredEvent, self._connection.call("GET", _event_path(sid))[0])

    def update_event(
        self, sid: str, update: EventUpdate, *, before_sending: Callable[[], None] | None = None
    ) -> StoredEvent:
        """Change the fields that are set and keep the others; `before_sending` is as in `create_event`.

        The API reference does not say whether this is PATCH or PUT. If one is answered as if the route did
        not exist, the other is tried, and the one that works is used from then on.
        """
        preferred, other = self._update_methods
        try:
            return self._update(preferred, sid, update, before_sending)
        except EventsApiError as error:
            if error.status not in WRONG_METHOD:
                raise
            try:
                updated = self._update(other, sid, update, before_sending)
            except EventsApiError as second:
                raise _more_informative(error, second) from None
        self._update_methods = [other, preferred]
        return updated

    def delete_event(self, sid: str) -> None:
        self._connection.call("DELETE", _event_path(sid))

    def list_events(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the API's own word
        started_from: datetime | None = None,
        started_to: datetime | None = None,
        bucket: str | None = None,
        environment: str | None = None,
        limit: int = LARGEST_PAGE,
        page: int = 1,
    ) -> EventPage:
        """One page of at most 100 events, filtered by type, start, bucket and environment.

        Events that the API returns although they do not match are left out, so a page may have fewer.
        """
        wanted = EventFilter(type, started_from, started_to, bucket, environment)
        found = self.list_page(wanted, limit=limit, page=page)
        while page == 1 and found.is_worth_repeating:
            found = self.list_page(wanted, limit=limit, page=page)
        records = tuple(event for event in found.records if wanted.includes(event))
        return EventPage(records=records, has_more=found.has_more)

    def list_page(self, wanted: EventFilter, *, limit: int = LARGEST_PAGE, page: int = 1) -> EventPage:
        """One page as the API returns it, which may ignore the filters.

        The first page shows whether it does: it is then `is_worth_repeating`, until a spelling of the filters
        works or there is none left (`apitraffic_events.filters`).
        """
        while True:
            query = self.filters.query(wanted) | {"limit": str(limit), "page": str(page)}
            try:
                items, has_more = records_in(*self._connection.call("GET", "/events", query=query))
                break
            except Rejected as error:
                if error.status not in REFUSED_PARAMETERS or not self.filters.was_refused(wanted):
                    raise
        records = read_records(StoredEvent, items)
        is_worth_repeating = page == 1 and self.filters.learn(wanted, records)
        return EventPage(records=records, has_more=has_more, is_worth_repeating=is_worth_repeating)

    def iter_events(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the API's own word
        started_from: datetime | None = None,
        started_to: datetime | None = None,
        bucket: str | None = None,
        environment: str | None = None,
    ) -> Iterator[StoredEvent]:
        """All events that match, page by page, each once even if new ones push others to the next page."""
        wanted = EventFilter(type, started_from, started_to, bucket, environment)
        return iter_matching(lambda page: self.list_page(wanted, page=page), wanted)

    def list_buckets(self) -> tuple[Bucket, ...]:
        return self._list_all(Bucket, "/buckets")

    def list_environments(self) -> tuple[Environment, ...]:
        return self._list_all(Environment, "/environments")

    def list_api_tokens(self) -> tuple[ApiToken, ...]:
        """The account's tokens. The API may not list them, or not to this token."""
        return self._list_all(ApiToken, "/apiTokens")

    def metrics_throughput(
        self,
        started_from: datetime,
        started_to: datetime,
        interval: Interval = Interval.HOUR,
        *,
        bucket: str | None = None,
        environment: str | None = None,
    ) -> tuple[ThroughputPoint, ...]:
        """The account's traffic in this period, a point for each interval; needs the scope `metrics:read`."""
        scope = _given({"bucketSid": bucket, "environmentSid": environment, "interval": interval.value})
        items, _ = records_in(*self._metrics("throughput", started_from, started_to, scope))
        return read_points(items)

    def metrics_summary(
        self,
        started_from: datetime,
        started_to: datetime,
        *,
        bucket: str | None = None,
        environment: str | None = None,
    ) -> MetricsSummary:
        """The account's traffic in this period, added up; needs the scope `metrics:read`."""
        scope = _given({"bucketSid": bucket, "environmentSid": environment})
        return read_summary(self._metrics("summary", started_from, started_to, scope)[0])

    def _metrics(
        self, name: str, started_from: datetime, started_to: datetime, scope: Mapping[str, str]
    ) -> tuple[Any, Mapping[str, Any]]:
        """The answer and its envelope.

        The reference shows times with milliseconds, and does not say whether others are refused: if the first
        request is, it is sent once more without them, and the form that works is kept.
        """

        def ask() -> tuple[Any, Mapping[str, Any]]:
            times = {"startDate": started_from, "endDate": started_to}
            period = {field: format_timestamp(time) for field, time in times.items()}
            if not self._has_milliseconds:
                period = {field: f"{text.partition('.')[0]}Z" for field, text in period.items()}
            return self._connection.call("GET", f"/metrics/{name}", query={**period, **scope})

        try:
            answer = ask()
        except Rejected as error:
            if self._knows_form_of_times or error.status not in REFUSED_PARAMETERS:
                raise
            self._knows_form_of_times, self._has_milliseconds = True, False
            try:
                return ask()
            except EventsApiError:
                self._has_milliseconds = True
                raise error from None
        self._knows_form_of_times = True
        return answer

    def _list_all(self, model: type[RecordT], path: str) -> tuple[RecordT, ...]:
        def fetch(page: int) -> tuple[Sequence[RecordT], bool]:
            query = {"limit": str(LARGEST_PAGE), "page": str(page)}
            items, has_more = records_in(*self._connection.call("GET", path, query=query))
            return read_records(model, items), has_more

        return tuple(iter_pages(fetch))

    def _update(
        self, method: str, sid: str, update: EventUpdate, before_sending: Callable[[], None] | None
    ) -> StoredEvent:
        body = update.model_dump_json(by_alias=True, exclude_unset=True)
        data, _ = self._connection.call(method, _event_path(sid), body=body, before_sending=before_sending)
        return read_record(StoredEvent, data)


def _given(parameters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _more_informative(first: EventsApiError, second: EventsApiError) -> EventsApiError:
    """The error that says why neither update worked; the other may only mean that the route is missing."""
    if second.status not in WRONG_METHOD:
        return second
    return min(first, second, key=lambda error: (error.status != HTTPStatus.NOT_FOUND, error.code is None))


def _event_path(sid: str) -> str:
    return f"/events/{quote(sid, safe='')}"
