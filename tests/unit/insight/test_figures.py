"""The figures of one window, as ApiTraffic has them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses
from responses import matchers

from apitraffic_events.client import EventsClient
from receiver.insight.figures import ApiFigures, NoFigures
from receiver.insight.verdict import Figures

BASE = "https://api.test/v1"
SUMMARY = f"{BASE}/accounts/acc_1/metrics/summary"
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.fixture
def source() -> Iterator[ApiFigures]:
    with EventsClient(account_sid="acc_1", token="tok", api_url=BASE) as client:
        yield ApiFigures(client)


def ask(source: ApiFigures, bucket: str | None = None) -> Figures:
    return source.figures(NOON - timedelta(minutes=15), NOON, bucket, None)


@responses.activate
def test_one_request_asks_for_a_window_whose_end_is_not_in_it(source: ApiFigures) -> None:
    period = {"startDate": "2026-01-10T11:45:00.000Z", "endDate": "2026-01-10T11:59:59.999Z"}
    asked = matchers.query_param_matcher({**period, "bucketSid": "bkt_1"})
    answer = {
        "totalRequests": 100,
        "totalErrors": 9,
        "averageResponseTime": 12,
        "requestsByStatus": {"5xx": 2},
    }
    responses.get(SUMMARY, json=answer, match=[asked])
    assert ask(source, "bkt_1") == Figures(100, 2, 12, "5xx")


@pytest.mark.parametrize(
    ("status", "answer", "is_lasting", "said"),
    [
        (401, {}, True, "give it the scope metrics:read"),
        (403, {}, True, "give it the scope metrics:read"),
        (404, {}, True, "the API has no metrics"),
        (422, {"error": {"message": "bucketSid: unknown"}}, True, "bucketSid: unknown"),
        (200, {"requests": 12}, True, "does not say how many requests"),
        (429, {}, False, "HTTP 429"),
        (503, {}, False, "HTTP 503"),
        (200, [1, 2], False, "not a summary"),
    ],
)
@responses.activate
def test_missing_figures_say_why_and_whether_asking_again_may_help(
    source: ApiFigures, status: int, answer: Any, is_lasting: bool, said: str
) -> None:
    responses.get(SUMMARY, json=answer, status=status)
    with pytest.raises(NoFigures, match=said) as failure:
        ask(source)
    assert failure.value.is_lasting is is_lasting


@responses.activate
def test_an_api_that_is_away_may_come_back(source: ApiFigures) -> None:
    responses.get(SUMMARY, body=requests.ConnectionError("refused"))
    with pytest.raises(NoFigures) as failure:
        ask(source)
    assert not failure.value.is_lasting
