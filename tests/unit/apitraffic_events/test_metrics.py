"""Figures of the traffic, in each form that the reference leaves open."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import Rejected
from apitraffic_events.metrics import SERVER_ERRORS, TOTAL_ERRORS, MetricsSummary

BASE = "https://api.test/v1"
SUMMARY = f"{BASE}/accounts/acc_1/metrics/summary"
START = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
END = datetime(2026, 1, 10, 10, 14, 59, 999_000, tzinfo=UTC)
BODY = {"totalRequests": 1_000, "totalErrors": 40, "averageResponseTime": 145.5}
REFUSED = {"success": False, "error": {"code": "VALIDATION_ERROR", "message": "startDate: no milliseconds"}}


@pytest.fixture
def client() -> Iterator[EventsClient]:
    with EventsClient(account_sid="acc_1", token="tok", api_url=BASE) as client:
        yield client


@pytest.mark.parametrize(
    "answer",
    [BODY, {"success": True, "data": BODY}, {"hasMore": False, "records": [BODY]}, [BODY]],
    ids=["bare", "envelope", "list", "bare list"],
)
@responses.activate
def test_the_summary_comes_bare_or_wrapped(client: EventsClient, answer: Any) -> None:
    responses.get(SUMMARY, json=answer)
    summary = client.metrics_summary(START, END)
    assert (summary.requests, summary.errors, summary.average_response_time) == (1_000, 40, 145.5)


@pytest.mark.parametrize(
    ("given", "requests", "errors", "kind"),
    [
        # totalErrors may count 4xx: what the statuses say goes before it.
        ({"requestsByStatus": {"2xx": 900, "4xx": 90, "5xx": 10}}, 1_000, 10, SERVER_ERRORS),
        ({"requestsByStatus": {"200": 990, "500": 7, "503": 3}}, 1_000, 10, SERVER_ERRORS),
        (
            {"requestsByStatus": [{"status": 200, "count": 990}, {"status": "5XX", "requests": 10}]},
            1_000,
            10,
            SERVER_ERRORS,
        ),
        # No 5xx among all requests: there was none. Among some of them: nobody knows.
        ({"requestsByStatus": {"2xx": 960, "4xx": 40}}, 1_000, 0, SERVER_ERRORS),
        ({"requestsByStatus": {"2xx": 300}}, 1_000, 40, TOTAL_ERRORS),
        ({"requestsByStatus": {}}, 1_000, 40, TOTAL_ERRORS),
        ({"requestsByStatus": None}, 1_000, 40, TOTAL_ERRORS),
        ({"requestsByStatus": {"2xx": True, "teapot": 3, "5xx": "x"}}, 1_000, 40, TOTAL_ERRORS),
        ({"totalErrors": None}, 1_000, None, TOTAL_ERRORS),
        ({"totalErrors": None, "requestsByStatus": {"2xx": 990, "5xx": 10}}, 1_000, 10, SERVER_ERRORS),
        ({"totalRequests": None, "requestsByStatus": {"2xx": 490, "5xx": 10}}, 500, 10, SERVER_ERRORS),
        ({"totalRequests": "many"}, None, 40, TOTAL_ERRORS),
        ({"totalRequests": 0, "totalErrors": 0}, 0, 0, TOTAL_ERRORS),
    ],
)
def test_errors_are_those_with_a_status_of_5xx_where_statuses_are_told_apart(
    given: dict[str, Any], requests: float | None, errors: float | None, kind: str
) -> None:
    summary = MetricsSummary.model_validate({**BODY, **given})
    assert (summary.requests, summary.errors, summary.error_kind) == (requests, errors, kind)


@responses.activate
def test_times_without_milliseconds_are_tried_once_and_kept(client: EventsClient) -> None:
    def times() -> list[str]:
        queries = [parse_qs(urlsplit(str(call.request.url)).query) for call in responses.calls]
        return [query["endDate"][0] for query in queries]

    responses.get(SUMMARY, json=REFUSED, status=422)
    responses.get(SUMMARY, json=BODY)
    for _ in range(2):
        assert client.metrics_summary(START, END, bucket="bkt_1").requests == 1_000
    assert times() == ["2026-01-10T10:14:59.999Z", "2026-01-10T10:14:59Z", "2026-01-10T10:14:59Z"]


@responses.activate
def test_what_is_refused_either_way_is_asked_no_third_time(client: EventsClient) -> None:
    responses.get(SUMMARY, json=REFUSED, status=400)
    for _ in range(2):
        with pytest.raises(Rejected, match="no milliseconds"):
            client.metrics_summary(START, END)
    assert len(responses.calls) == 3
