"""An issue's deliveries together: what its marker shows in the end, in whatever order they come."""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from apitraffic_events.event import Event
from apitraffic_events.timestamps import parse_timestamp
from receiver.delivery.folding import fold
from receiver.events import Change
from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.source import translate
from tests.support.github import RECEIVED_AT, outcome, reason
from tests.support.source_fixtures import body_of, cases

LABEL = {"name": "incident"}
CASES = [case for case in cases("github") if case.startswith("issues__")]


def at(minute: int) -> Any:
    return parse_timestamp(f"2026-01-10T10:{minute:02}:00Z")


def change(
    action: str, minute: int, *, labels: Sequence[object] = (LABEL,), top: Any = None, **issue: Any
) -> Change:
    payload = json.loads(body_of("github", "issues__opened_with_label"))
    payload |= {"action": action} | (top or {})
    payload["issue"] |= {"labels": list(labels), "updated_at": f"2026-01-10T10:{minute:02}:00Z"} | issue
    headers = {"x-github-event": "issues", "x-github-delivery": f"{action} {minute}"}
    delivery = GITHUB.receive(headers, json.dumps(payload).encode(), RECEIVED_AT)
    (made,) = translate(GITHUB, delivery, Options()).changes
    return made


def shown(changes: Sequence[Change]) -> Event | None:
    """What all orders of arrival agree on."""
    (first, *others) = [fold(order) for order in permutations(changes)]
    assert all(other == first for other in others)
    return first


OPENED = change("opened", 0)
LABELED = change("labeled", 0, top={"label": LABEL})
CLOSED = change("closed", 20, state="closed", closed_at="2026-01-10T10:20:00Z", state_reason="completed")
REOPENED = change("reopened", 30, closed_at="2026-01-10T10:20:00Z")
UNLABELED = change("unlabeled", 40, labels=(), top={"label": LABEL})
LABELED_AGAIN = change("labeled", 45, top={"label": LABEL})
DELETED = change("deleted", 50)


def test_all_deliveries_of_an_issue_are_about_one_marker() -> None:
    keys = {outcome(case, "point")[0]["key"] for case in CASES if isinstance(outcome(case, "point"), list)}
    assert keys == {"github:issue:1842001"}


def test_opened_with_its_label_is_one_opening() -> None:
    event = shown([OPENED, LABELED])
    assert event is not None
    assert (event.started_at, event.ended_at) == (at(0), None)


def test_labelled_later_it_starts_with_the_label_and_not_with_the_issue() -> None:
    event = shown([change("labeled", 12, top={"label": LABEL})])
    assert event is not None
    assert (event.started_at, event.ended_at) == (at(12), None)


def test_it_ends_when_the_issue_is_closed() -> None:
    event = shown([OPENED, LABELED, CLOSED])
    assert event is not None
    assert (event.started_at, event.ended_at) == (at(0), at(20))
    assert event.description == "Closed as completed after 20 min by alice."


def test_a_second_label_on_a_closed_incident_does_not_reopen_it() -> None:
    late = change(
        "labeled", 25, top={"label": {"name": "outage"}}, state="closed", closed_at="2026-01-10T10:20:00Z"
    )
    event = shown([OPENED, CLOSED, late])
    assert event is not None
    assert event.ended_at == at(20)


def test_reopened_it_goes_on_whatever_closed_at_says() -> None:
    event = shown([OPENED, CLOSED, REOPENED])
    assert event is not None
    assert (event.started_at, event.ended_at) == (at(0), None)


@pytest.mark.parametrize("end", [UNLABELED, DELETED])
def test_what_ends_it_otherwise_ends_an_open_one_and_makes_none(end: Change) -> None:
    assert shown([end]) is None
    event = shown([OPENED, end])
    assert event is not None
    assert event.ended_at == end.occurred_at
    closed = shown([OPENED, CLOSED, end])
    assert closed is not None
    assert closed.ended_at == at(20)
    assert closed.description == "Closed as completed after 20 min by alice."


def test_labelled_again_it_goes_on() -> None:
    event = shown([OPENED, UNLABELED, LABELED_AGAIN])
    assert event is not None
    assert (event.started_at, event.ended_at) == (at(0), None)


def test_a_label_exchanged_for_another_within_a_second_leaves_it_open() -> None:
    removed = change("unlabeled", 45, labels=(), top={"label": {"name": "outage"}})
    event = shown([OPENED, removed, LABELED_AGAIN])
    assert event is not None
    assert event.ended_at is None


def test_an_edited_title_is_shown_and_changes_nothing_else() -> None:
    edit = change("edited", 10, title="Checkout is down", top={"changes": {"title": {"from": "?"}}})
    assert shown([edit]) is None
    event = shown([OPENED, edit])
    assert event is not None
    assert event.name == "#1842 Checkout is down"
    assert (event.description, event.started_at, event.ended_at) == ("Opened by bob.", at(0), None)


@pytest.mark.parametrize(
    "labels", [None, "incident", [None, 7, "incident", {}, {"name": None}, {"name": ["incident"]}]]
)
def test_labels_that_are_none_make_no_incident(labels: object) -> None:
    payload = json.loads(body_of("github", "issues__opened_with_label"))
    payload["issue"]["labels"] = labels
    why = reason(json.dumps(payload).encode(), "issues")
    assert why is not None
    assert why.reason.startswith("the issue is no incident")


@pytest.mark.parametrize("path", ["action", "issue.id", "repository.full_name"])
def test_what_is_indispensable_is_named_when_it_is_missing(path: str) -> None:
    payload = json.loads(body_of("github", "issues__opened_with_label"))
    *parents, last = path.split(".")
    place = payload
    for parent in parents:
        place = place[parent]
    del place[last]
    why = reason(json.dumps(payload).encode(), "issues")
    assert why is not None
    assert why.reason == f"{path} is missing from the payload"
