"""When a delivery is tried again, by what went wrong."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apitraffic_events import retrying
from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimit,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from receiver.delivery.retries import is_outage, is_refusal, needs_operator, pause_after
from tests.support.properties import reproducible

NOW = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
NO_WAIT = timedelta(0)
TRANSIENT: list[EventsApiError] = [
    ServerFailed("HTTP 500", status=500),
    ServerFailed("HTTP 408", status=408),
    ServerFailed("the answer is not JSON", status=200),
    Unreachable("connection refused", was_sent=False),
    Unreachable("no answer within 20 s", was_sent=True),
]


@pytest.fixture(autouse=True)
def _a_clock_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "now", lambda: NOW)


def limited(retry_after: float | None = None, reset_in: float | None = None) -> RateLimited:
    budget = None if reset_in is None else RateLimit(1000, 0, NOW + timedelta(seconds=reset_in))
    return RateLimited("slow down", retry_after=retry_after, code="RATE_LIMIT_EXCEEDED", rate_limit=budget)


def bounds(monkeypatch: pytest.MonkeyPatch, error: EventsApiError, attempts: int) -> tuple[float, float]:
    """What the pause is drawn from."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    assert pause_after(error, attempts=attempts, waiting_for=NO_WAIT) == 1.0
    return drawn[0]


class TestTransientFailures:
    @pytest.mark.parametrize("error", TRANSIENT, ids=str)
    @pytest.mark.parametrize(
        ("attempts", "longest"),
        [(0, 2), (1, 4), (2, 8), (5, 64), (8, 512), (9, 600), (10, 600), (10**6, 600)],
    )
    def test_the_pause_doubles_from_a_second_to_ten_minutes_with_full_jitter(
        self, monkeypatch: pytest.MonkeyPatch, error: EventsApiError, attempts: int, longest: float
    ) -> None:
        assert bounds(monkeypatch, error, attempts) == (1.0, longest)

    @pytest.mark.parametrize("error", TRANSIENT, ids=str)
    def test_they_are_tried_for_72_hours(self, error: EventsApiError) -> None:
        assert pause_after(error, attempts=500, waiting_for=timedelta(hours=72)) is not None
        assert pause_after(error, attempts=500, waiting_for=timedelta(hours=72, seconds=1)) is None

    def test_a_clock_that_went_back_does_not_end_the_tries(self) -> None:
        assert pause_after(TRANSIENT[0], attempts=3, waiting_for=timedelta(hours=-5)) is not None


class TestBudget:
    def test_the_seconds_that_the_api_asks_for_are_waited(self) -> None:
        assert pause_after(limited(retry_after=37), attempts=0, waiting_for=NO_WAIT) == 37

    def test_retry_after_counts_before_the_end_of_the_window(self) -> None:
        assert pause_after(limited(retry_after=37, reset_in=900), attempts=0, waiting_for=NO_WAIT) == 37

    def test_without_it_the_end_of_the_window_is_waited_for(self) -> None:
        assert pause_after(limited(reset_in=900), attempts=0, waiting_for=NO_WAIT) == 900

    def test_without_either_it_is_a_minute(self) -> None:
        assert pause_after(limited(), attempts=0, waiting_for=NO_WAIT) == 60

    @pytest.mark.parametrize(
        "error", [limited(retry_after=0), limited(retry_after=-9), limited(reset_in=-900)]
    )
    def test_it_is_never_less_than_a_second(self, error: RateLimited) -> None:
        assert pause_after(error, attempts=0, waiting_for=NO_WAIT) == 1

    @pytest.mark.parametrize(
        "error", [limited(retry_after=float("inf")), limited(retry_after=1e300), limited(reset_in=10**10)]
    )
    def test_it_is_never_more_than_a_day(self, error: RateLimited) -> None:
        assert pause_after(error, attempts=0, waiting_for=NO_WAIT) == 86_400

    def test_a_used_up_budget_never_makes_a_dead_letter(self) -> None:
        assert pause_after(limited(retry_after=5), attempts=10_000, waiting_for=timedelta(days=30)) == 5


class TestRefusals:
    @pytest.mark.parametrize(
        "error", [Unauthorised("expired", status=401), NotFound("no such account", status=404)]
    )
    def test_what_a_person_must_mend_is_looked_at_every_minute_for_ever(self, error: EventsApiError) -> None:
        assert pause_after(error, attempts=10_000, waiting_for=timedelta(days=30)) == 60

    def test_what_the_api_refuses_for_good_is_not_tried_again(self) -> None:
        error = Rejected("name is too long", code="VALIDATION_ERROR", status=422)
        assert pause_after(error, attempts=0, waiting_for=NO_WAIT) is None

    @pytest.mark.parametrize("status", [400, 409, 413, 422])
    def test_some_statuses_speak_of_the_request_without_a_code_too(self, status: int) -> None:
        assert pause_after(Rejected("HTTP", status=status), attempts=0, waiting_for=NO_WAIT) is None

    @pytest.mark.parametrize("status", [402, 405, 407, 412, 418, 421, 431, 451])
    def test_other_refusals_without_a_code_are_not_the_apis_and_as_good_as_an_outage(
        self, status: int
    ) -> None:
        error = Rejected("HTTP", status=status)
        assert pause_after(error, attempts=0, waiting_for=NO_WAIT) is not None
        assert pause_after(error, attempts=0, waiting_for=timedelta(hours=73)) is None

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_a_wrong_address_which_a_person_must_mend(self, status: int) -> None:
        error = Rejected("the API redirects elsewhere", status=status)
        assert pause_after(error, attempts=10_000, waiting_for=timedelta(days=30)) == 60

    @pytest.mark.parametrize(
        "error",
        [
            *TRANSIENT,
            limited(),
            Unauthorised("x", status=401),
            NotFound("x", status=404),
            Rejected("x", status=301),
            Rejected("x", status=405),
            Rejected("x", status=422),
        ],
        ids=str,
    )
    def test_each_error_is_of_one_kind(self, error: EventsApiError) -> None:
        kinds = [is_outage(error), is_refusal(error), needs_operator(error)]
        assert kinds.count(True) == (0 if isinstance(error, RateLimited) else 1)


@reproducible
@given(
    st.sampled_from(
        [
            *TRANSIENT,
            limited(),
            limited(retry_after=1e9),
            limited(reset_in=-5),
            Unauthorised("x"),
            NotFound("x"),
        ]
    ),
    st.integers(0, 10**9),
    st.timedeltas(timedelta(0), timedelta(hours=72)),
)
def test_a_pause_is_always_between_a_second_and_a_day(
    error: EventsApiError, attempts: int, waiting_for: timedelta
) -> None:
    pause = pause_after(error, attempts=attempts, waiting_for=waiting_for)
    assert pause is not None
    assert 1 <= pause <= 86_400
