from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.test import TestResponse

from receiver.local.events_api.quota import Quota

Call = Callable[..., TestResponse]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rate(response: TestResponse) -> tuple[int, int, int]:
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    limit, remaining, reset = (int(response.headers[name]) for name in names)
    return limit, remaining, reset


def test_quota_is_counted_down_refused_and_begun_anew(new_api: Callable[..., Call], clock: Clock) -> None:
    call = new_api(quota=2, window=10.0, clock=clock)
    assert rate(call("GET", "/events")) == (2, 1, 1011)
    assert rate(call("GET", "/nosuch")) == (2, 0, 1011)

    clock.now += 4
    refused = call("POST", "/events", json={"type": "custom", "name": "x"})
    assert refused.status_code == 429
    assert rate(refused) == (2, 0, 1011)
    assert refused.headers["Retry-After"] == "6"
    assert isinstance(refused.json, dict)
    assert refused.json["error"]["code"] == "RATE_LIMIT_EXCEEDED"

    clock.now += 6
    listed = call("GET", "/events")
    assert listed.status_code == 200
    assert listed.json == {"hasMore": False, "records": []}
    assert rate(listed) == (2, 1, 1021)


def test_waiting_as_told_is_always_long_enough(new_api: Callable[..., Call], clock: Clock) -> None:
    call = new_api(quota=1, window=0.5, clock=clock)
    call("GET", "/events")
    refused = call("GET", "/events")
    assert refused.status_code == 429
    clock.now += int(refused.headers["Retry-After"])
    assert call("GET", "/events").status_code == 200


def test_only_requests_with_the_token_use_up_the_quota(new_api: Callable[..., Call], clock: Clock) -> None:
    call = new_api(quota=2, window=10.0, clock=clock, fault_control=True)
    assert rate(call("GET", "/events", authorization=None)) == (2, 2, 1011)
    assert rate(call("GET", "/healthz", below="")) == (2, 2, 1011)
    assert rate(call("GET", "/openapi.json", below="/v1")) == (2, 2, 1011)
    assert rate(call("GET", "/_requests", below="")) == (2, 2, 1011)
    assert rate(call("GET", "/nosuch", below="")) == (2, 2, 1011)
    assert rate(call("GET", "/events")) == (2, 1, 1011)


def test_window_that_ended_long_ago(clock: Clock) -> None:
    quota = Quota(5, 10.0, clock)
    quota.take()
    clock.now += 1_000
    assert (quota.current().remaining, quota.current().reset) == (5, clock.now + 10)


def test_threads_share_one_quota() -> None:
    quota = Quota(50, 3600.0)
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: quota.take().granted, range(200)))
    assert granted.count(True) == 50
