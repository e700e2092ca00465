"""Asking again while there is time, on a clock of the test's own."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import (
    EventsApiError,
    RateLimit,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.retrying import BACKOFF, OutOfTime, Retrier
from apitraffic_events.timestamps import now


@dataclass
class Clock:
    moment: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retrier(clock: Clock) -> Iterator[Retrier]:
    """Within 20 seconds."""
    with EventsClient(api_url="http://127.0.0.1:9/v1", account_sid="acc_1", token="t") as client:
        yield Retrier(client, 20.0, clock=clock, sleep=clock.sleep)


def failing(*errors: EventsApiError) -> Callable[[], str]:
    """Raises these, one at each call, and then answers."""
    left = list(errors)

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return ask


def test_what_may_pass_is_tried_again(retrier: Retrier, clock: Clock) -> None:
    ask = failing(Unreachable("reset", was_sent=True), ServerFailed("down", status=503), RateLimited("429"))
    assert retrier.call(ask) == "answer"
    assert len(clock.slept) == 3
    assert all(slept <= ceiling for slept, ceiling in zip(clock.slept, (0.5, 1.0, 2.0), strict=True))


@pytest.mark.parametrize("refusal", [Rejected("422", status=422), Unauthorised("401", status=401)])
def test_a_refusal_is_not(retrier: Retrier, clock: Clock, refusal: EventsApiError) -> None:
    with pytest.raises(type(refusal)):
        retrier.call(failing(refusal))
    assert clock.slept == []


def test_the_api_says_when(retrier: Retrier, clock: Clock) -> None:
    assert retrier.call(failing(ServerFailed("later", status=503, retry_after=7.0))) == "answer"
    assert clock.slept == [7.0]


def test_a_budget_that_begins_anew_in_time_is_waited_for(retrier: Retrier, clock: Clock) -> None:
    reset = RateLimit(limit=10, remaining=0, reset_at=now() + timedelta(seconds=5))
    assert retrier.call(failing(RateLimited("used up", rate_limit=reset))) == "answer"
    assert 4.0 < clock.slept[0] <= 5.0


def test_a_wait_past_the_end_is_not_begun(retrier: Retrier, clock: Clock) -> None:
    with pytest.raises(OutOfTime, match="tried once"):
        retrier.call(failing(RateLimited("used up", status=429, retry_after=3600.0)))
    assert clock.slept == []


def test_at_the_end_the_last_problem_is_told(retrier: Retrier, clock: Clock) -> None:
    errors = [ServerFailed("the database is away", status=503) for _ in range(1000)]
    with pytest.raises(OutOfTime, match=r"^503 the database is away; tried \d+ times in \d+\.\d s$"):
        retrier.call(failing(*errors))
    assert clock.moment - 100.0 < 20.0


def test_the_pauses_double_up_to_eight_seconds_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    for failures in (1, 2, 3, 4, 5, 6, 10**6):
        BACKOFF.pause(failures)
    assert drawn == [(0, 0.5), (0, 1), (0, 2), (0, 4), (0, 8), (0, 8), (0, 8)]


@pytest.mark.parametrize(("is_lasting", "attempts"), [(True, 1), (False, 2)])
def test_a_person_does_not_wait_for_a_host_that_takes_no_connections(
    clock: Clock, *, is_lasting: bool, attempts: int
) -> None:
    errors: list[EventsApiError] = []
    with EventsClient(api_url="http://127.0.0.1:9/v1", account_sid="acc_1", token="t") as client:
        retrier = Retrier(
            client,
            20.0,
            before_retry=errors.append,
            gives_up_unconnected=True,
            clock=clock,
            sleep=clock.sleep,
        )
        refused = Unreachable("refused", was_sent=False, is_lasting=is_lasting)
        if is_lasting:
            with pytest.raises(Unreachable):
                retrier.call(failing(refused))
        else:
            assert retrier.call(failing(refused)) == "answer"
    assert len(errors) == attempts - 1


def test_each_call_has_its_own_time(retrier: Retrier, clock: Clock) -> None:
    clock.moment += 1000
    assert retrier.call(failing(ServerFailed("down", status=500))) == "answer"
