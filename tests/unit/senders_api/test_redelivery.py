"""Which of GitHub's deliveries are asked for again: examples of each rule, and what holds for any list."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.senders_api.redelivery import (
    ATTEMPTS,
    OVER_LIMIT,
    TOO_OLD,
    Attempt,
    Plan,
    choose,
    group,
    is_wanted,
    pause_after,
)
from tests.support.properties import reproducible

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=3)


def attempt(number: int, guid: str = "a", *, minutes_ago: float = 60, **changes: Any) -> Attempt:
    failed = Attempt(
        id=number,
        guid=guid,
        delivered_at=NOW - timedelta(minutes=minutes_ago),
        redelivery=False,
        status="Invalid HTTP Response: 503",
        status_code=503,
        event="deployment_status",
        action="created",
    )
    return replace(failed, **changes)


def again(number: int, guid: str = "a", **changes: Any) -> Attempt:
    return attempt(number, guid, redelivery=True, **changes)


def plan(*attempts: Attempt, **options: Any) -> Plan:
    return choose(attempts, **{"since": SINCE, "now": NOW, **options})


def asked(chosen: Plan) -> list[int]:
    return [decision.newest.id for decision in chosen.decisions if decision.left is None]


def test_one_that_failed_is_asked_for() -> None:
    chosen = plan(attempt(1))
    assert asked(chosen) == [1]
    assert chosen.events == chosen.decisions[0].attempts == 1


@pytest.mark.parametrize(
    "success",
    [{"status": "OK", "status_code": 200}, {"status": "OK"}, {"status": "Accepted", "status_code": 202}],
)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_that_arrived_is_done_whichever_attempt_that_was(success: dict[str, Any], which: int) -> None:
    attempts = [attempt(1, minutes_ago=90), again(2, minutes_ago=60), again(3, minutes_ago=30)]
    attempts[which] = replace(attempts[which], **success)
    assert plan(*attempts).decisions == ()


@pytest.mark.parametrize(
    ("status", "code"), [("failed to connect to host", 0), ("timed out", None), ("x", 302)]
)
def test_no_answer_and_a_redirect_are_failures(status: str, code: int | None) -> None:
    assert asked(plan(attempt(1, status=status, status_code=code))) == [1]


def test_the_newest_attempt_of_an_event_is_the_one_asked_for() -> None:
    chosen = plan(again(9, minutes_ago=20), attempt(7, minutes_ago=50), attempt(8, "b", minutes_ago=40))
    assert asked(chosen) == [9, 8]
    assert [decision.attempts for decision in chosen.decisions] == [2, 1]


def test_each_redelivery_makes_the_rest_longer_up_to_an_hour() -> None:
    minutes = [pause_after(times) / timedelta(minutes=1) for times in range(7)]
    assert minutes == [0, 5, 10, 20, 40, 60, 60]
    assert pause_after(10**9) == timedelta(hours=1)


@pytest.mark.parametrize(("minutes_ago", "expected"), [(0, []), (4.9, []), (5, [2]), (6, [2])])
def test_one_that_was_redelivered_a_moment_ago_rests(minutes_ago: float, expected: list[int]) -> None:
    chosen = plan(attempt(1), again(2, minutes_ago=minutes_ago))
    assert asked(chosen) == expected
    if not expected:
        assert str(chosen.decisions[0].left).startswith("redelivered just now, rests until 12:0")


def test_one_that_failed_a_moment_ago_does_not_rest() -> None:
    assert asked(plan(attempt(1, minutes_ago=0))) == [1]


def test_what_github_put_off_is_left_until_it_must_be_given_up() -> None:
    put_off = attempt(1, status="throttled", status_code=0, throttled_at=NOW - timedelta(minutes=20))
    assert "throttled" in str(plan(put_off).decisions[0].left)
    assert asked(plan(replace(put_off, throttled_at=NOW - timedelta(minutes=61)))) == [1]
    assert asked(plan(replace(put_off, status_code=500))) == [1], "it was attempted, and failed"


def test_what_was_delivered_before_the_period_is_not_looked_at() -> None:
    assert plan(attempt(1, minutes_ago=3 * 24 * 60 + 1)) == Plan(events=0, decisions=())


def test_an_event_is_given_up_when_its_first_delivery_is_before_the_period() -> None:
    known = plan(attempt(1, minutes_ago=3 * 24 * 60 + 1), again(2))
    unknown = plan(again(2))
    assert known.decisions[0].left == unknown.decisions[0].left == TOO_OLD


def test_patterns_choose_by_event_or_by_event_and_action() -> None:
    issue = attempt(1, event="issues", action="closed")
    assert is_wanted(issue, [])
    assert is_wanted(issue, ["push", "issues"])
    assert is_wanted(issue, ["issues.*"])
    assert is_wanted(attempt(1, event="push", action=None), ["pu*"])
    assert not is_wanted(issue, ["deployment*", "issues.opened", "ISSUES"])
    assert asked(plan(issue, attempt(2, "b"), patterns=["deployment_status"])) == [2]


def test_over_the_limit_the_least_tried_and_then_the_oldest_go_first() -> None:
    tried = [attempt(1, "tried", minutes_ago=500), again(2, "tried", minutes_ago=400)]
    fresh = [attempt(number, f"fresh-{number}", minutes_ago=300 - number) for number in range(3, 6)]
    chosen = plan(*tried, *fresh, limit=2)
    assert asked(chosen) == [3, 4]
    assert [decision.left for decision in chosen.decisions] == [OVER_LIMIT, None, None, OVER_LIMIT]


def test_an_item_of_githubs_list_is_read() -> None:
    (read,) = ATTEMPTS.validate_python(
        [
            {
                "id": 12345678,
                "guid": "0b989ba4-242f-11e5-81e1-c7b6966d2516",
                "delivered_at": "2019-06-03T00:57:16Z",
                "redelivery": False,
                "duration": 0.27,
                "status": "OK",
                "status_code": 200,
                "event": "issues",
                "action": None,
                "installation_id": None,
                "repository_id": 456,
                "throttled_at": "2019-06-03T00:57:16Z",
            }
        ]
    )
    assert read.succeeded
    assert read.name == "issues"
    assert read.delivered_at == datetime(2019, 6, 3, 0, 57, 16, tzinfo=UTC)


@pytest.mark.parametrize("junk", [{}, [{}], [{"id": 1}], None, "x", [[]]])
def test_what_is_no_list_of_attempts_is_refused(junk: object) -> None:
    with pytest.raises(ValidationError):
        ATTEMPTS.validate_python(junk)


moments = st.integers(0, 5 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
attempts_of_any_kind = st.lists(
    st.builds(
        Attempt,
        id=st.integers(1, 40),
        guid=st.sampled_from("abcdef"),
        delivered_at=moments,
        redelivery=st.booleans(),
        status=st.sampled_from(["OK", "failed to connect", "Invalid HTTP Response: 500", "throttled"]),
        status_code=st.sampled_from([None, 0, 200, 202, 302, 401, 500, 504]),
        event=st.sampled_from(["push", "issues"]),
        action=st.sampled_from([None, "opened"]),
        throttled_at=st.none() | moments,
    ),
    max_size=30,
    unique_by=lambda attempt: attempt.id,
)


@reproducible
@given(attempts_of_any_kind, st.integers(0, 6), st.randoms(use_true_random=False))
def test_it_never_asks_for_what_arrived_nor_twice_nor_over_the_limit(
    attempts: list[Attempt], limit: int, shuffled: random.Random
) -> None:
    chosen = plan(*attempts, limit=limit)
    events = [decision.newest.guid for decision in chosen.decisions]
    assert len(set(events)) == len(events) <= chosen.events
    assert len(asked(chosen)) <= limit
    arrived = {attempt.guid for attempt in attempts if attempt.succeeded}
    assert arrived.isdisjoint(events)
    groups = group(attempts)
    for decision in chosen.decisions:
        assert decision.newest == max(
            groups[decision.newest.guid], key=lambda item: (item.delivered_at, item.id)
        )
        assert decision.left is not None or SINCE <= decision.first.delivered_at <= NOW

    disordered = [*attempts, *attempts[:5]]
    shuffled.shuffle(disordered)
    assert plan(*disordered, limit=limit) == chosen, "the order and overlaps of pages do not matter"


@reproducible
@given(attempts_of_any_kind)
def test_a_second_run_asks_for_nothing_that_the_first_asked_for(attempts: list[Attempt]) -> None:
    first = plan(*attempts)
    redelivered = [
        again(100 + index, decision.newest.guid, minutes_ago=0)
        for index, decision in enumerate(first.decisions)
        if decision.left is None
    ]
    assert asked(plan(*attempts, *redelivered)) == []


@reproducible
@given(st.integers(1, 60))
def test_run_every_minute_for_days_it_tries_an_event_that_never_arrives_a_bounded_number_of_times(
    period: int,
) -> None:
    attempts = [attempt(1, minutes_ago=0)]
    for minute in range(period, 4 * 24 * 60, period):
        moment = NOW + timedelta(minutes=minute)
        for number in asked(plan(*attempts, since=moment - timedelta(days=3), now=moment)):
            assert number == attempts[-1].id
            attempts.append(again(number + 1, delivered_at=moment))
    assert 30 < len(attempts) < 80
    assert attempts[-1].delivered_at <= attempts[0].delivered_at + timedelta(days=3)
