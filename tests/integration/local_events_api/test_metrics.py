"""The account's metrics, and the client that reads them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from werkzeug.test import TestResponse

from apitraffic_events import EventsClient
from apitraffic_events.metrics import Interval
from tests.support.local_api import LocalApi, running_local_api

Call = Callable[..., TestResponse]

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
BUCKET = "bkt_checkout0000000000000000000"
POINTS = [
    {"timestamp": "2026-11-28T11:10:00Z", "requests": 60, "errors": 1, "average": 100.0, "bucketSid": BUCKET},
    {"timestamp": "2026-11-28T11:50:00Z", "requests": 30, "errors": 0, "average": 400.0},
    {"timestamp": "2026-11-28T12:00:00Z", "requests": 10, "errors": 5, "average": 50.0, "bucketSid": BUCKET},
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        headers = {"Authorization": f"Bearer {api.token}"}
        url = f"{api.url.removesuffix('/v1')}/_traffic"
        assert requests.put(url, json=POINTS, headers=headers, timeout=5).json() == len(POINTS)
        yield api


@pytest.fixture
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(account_sid=api.account_sid, token=api.token, api_url=api.url) as client:
        yield client


def test_throughput_is_added_up_by_the_hour(client: EventsClient) -> None:
    points = client.metrics_throughput(NOON - timedelta(hours=2), NOON + timedelta(hours=1), Interval.HOUR)
    assert [(point.timestamp.hour, point.requests, point.errors, point.average) for point in points] == [
        (11, 90, 1, 200.0),
        (12, 10, 5, 50.0),
    ]


def test_a_bucket_and_a_period_limit_it(client: EventsClient) -> None:
    end = NOON - timedelta(seconds=1)
    (point,) = client.metrics_throughput(NOON - timedelta(days=1), end, Interval.DAY, bucket=BUCKET)
    assert (point.requests, point.timestamp) == (60, NOON.replace(hour=0))


def test_the_summary_weighs_response_times_by_requests(client: EventsClient) -> None:
    summary = client.metrics_summary(NOON - timedelta(hours=2), NOON + timedelta(hours=1))
    assert (summary.total_requests, summary.total_errors) == (100, 6)
    assert summary.average_response_time == 185.0


def test_the_summary_tells_statuses_and_methods_apart(new_api: Callable[..., Call]) -> None:
    call = new_api(fault_control=True)
    counted = {
        "requestsByStatus": {"2xx": 80, "4xx": 17, "5xx": 3},
        "requestsByMethod": {"GET": 90, "PUT": 10},
    }
    plain = {"timestamp": "2026-11-28T11:10:00Z", "requests": 60, "errors": 1}
    points = [plain, {**plain, "requests": 100, "errors": 20, **counted}]
    assert call("PUT", "/_traffic", below="", json=points).status_code == 200
    assert call("GET", "/metrics/summary").json == {
        "totalRequests": 160,
        "totalErrors": 21,
        "averageResponseTime": 0.0,
        "requestsByStatus": {"2xx": 139, "3xx": 0, "4xx": 17, "5xx": 4},
        "requestsByMethod": {"GET": 90, "PUT": 10},
        "topEndpoints": [],
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"errors": 61}, "more errors than requests"),
        ({"requestsByStatus": {"2xx": 59}}, "must add up to requests"),
        ({"requestsByStatus": {"200": 60}}, "'2xx', '3xx', '4xx' or '5xx'"),
    ],
)
def test_figures_that_contradict_each_other_are_refused(
    new_api: Callable[..., Call], wrong: dict[str, object], message: str
) -> None:
    call = new_api(fault_control=True)
    point = {"timestamp": "2026-11-28T11:10:00Z", "requests": 60, **wrong}
    refused = call("PUT", "/_traffic", below="", json=[point])
    assert refused.status_code == 422
    assert message in refused.json["error"]["message"]  # type: ignore[index]


def test_an_account_without_traffic_has_no_points(call: Callable[..., TestResponse]) -> None:
    assert call("GET", "/metrics/throughput").json == {"hasMore": False, "records": []}
    assert call("GET", "/metrics/summary").json["totalRequests"] == 0  # type: ignore[index]


@pytest.mark.parametrize("query", ["interval=minute", "startDate=yesterday"])
def test_what_it_does_not_understand_is_named(call: Callable[..., TestResponse], query: str) -> None:
    answer = call("GET", f"/metrics/throughput?{query}")
    assert answer.status_code == 422
    assert answer.json["error"]["details"][0]["field"] == query.partition("=")[0]  # type: ignore[index]
