"""Names in routes become SIDs; what the account does not have is left out and said."""

from collections.abc import Callable, Iterator

import pytest
import responses
from structlog.testing import capture_logs

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ServerFailed
from receiver.delivery.scopes import FRESH_FOR, Scopes
from tests.support.changes import event

API = "https://api.test/v1/accounts/acc_1"
BUCKETS = {
    "hasMore": False,
    "records": [
        {"sid": "bkt_1", "name": "Checkout API"},
        {"sid": "bkt_2", "name": "Payments"},
        {"sid": "bkt_3", "name": None},
    ],
}
ENVIRONMENTS = {"hasMore": False, "records": [{"sid": "env123", "name": "Production"}]}


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def scopes(clock: list[float], http: responses.RequestsMock) -> Iterator[Scopes]:
    with EventsClient(api_url="https://api.test/v1", account_sid="acc_1", token="token") as client:
        yield Scopes(client, lambda: clock[0])


@pytest.fixture
def lists(http: responses.RequestsMock) -> Callable[[], int]:
    http.get(f"{API}/buckets", json=BUCKETS)
    http.get(f"{API}/environments", json=ENVIRONMENTS)
    return lambda: len(http.calls)


def test_what_is_shown_everywhere_needs_no_look_up(scopes: Scopes, http: responses.RequestsMock) -> None:
    assert scopes.resolve(event()) == event()
    assert len(http.calls) == 0


def test_names_and_sids_become_sids_each_once(scopes: Scopes, lists: Callable[[], int]) -> None:
    named = event(buckets=["Payments", "bkt_1", "Checkout API", "bkt_3"], environments=["Production"])
    resolved = scopes.resolve(named)
    assert resolved.buckets == ("bkt_2", "bkt_1", "bkt_3")
    assert resolved.environments == ("env123",)


def test_lists_are_fetched_once_and_again_when_they_are_old(
    scopes: Scopes, lists: Callable[[], int], clock: list[float]
) -> None:
    for _ in range(3):
        scopes.resolve(event(buckets=["Payments"]))
    assert lists() == 1
    clock[0] += FRESH_FOR
    scopes.resolve(event(buckets=["Payments"]))
    assert lists() == 2


def test_a_name_that_the_account_does_not_have_is_left_out_and_said(
    scopes: Scopes, lists: Callable[[], int]
) -> None:
    with capture_logs() as logged:
        resolved = scopes.resolve(event(buckets=["Chekout API", "Payments"]))
    assert resolved.buckets == ("bkt_2",)
    assert [(entry["log_level"], entry["name"]) for entry in logged] == [("error", "Chekout API")]
    assert "Checkout API" in logged[0]["known"]


def test_where_no_name_is_known_the_event_is_shown_everywhere(
    scopes: Scopes, lists: Callable[[], int]
) -> None:
    with capture_logs():
        assert scopes.resolve(event(buckets=["Chekout API"])).buckets == ("*",)


def test_where_the_api_has_no_such_list_the_route_is_taken_at_its_word(
    scopes: Scopes, http: responses.RequestsMock
) -> None:
    http.get(f"{API}/environments", status=404)
    assert scopes.resolve(event(environments=["env123"])).environments == ("env123",)


def test_where_the_lists_cannot_be_had_now_it_is_not_guessed(
    scopes: Scopes, http: responses.RequestsMock
) -> None:
    http.get(f"{API}/buckets", status=500)
    with pytest.raises(ServerFailed):
        scopes.resolve(event(buckets=["Payments"]))
