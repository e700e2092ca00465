"""GitLab's deliveries as files, each with everything it must become written beside it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from receiver.events import Effect
from receiver.sources.gitlab import GITLAB
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Feature, translate
from tests.support.gitlab import DELIVERY_ID, expected, options_of, outcome, received
from tests.support.source_fixtures import MODES, body_of, cases

CASES = cases("gitlab")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(case: str, mode: str) -> None:
    assert outcome(case, mode) == expected(case, mode)


@pytest.mark.parametrize("case", CASES)
def test_a_change_says_where_it_came_from(case: str) -> None:
    if "ignored" in expected(case, "span"):
        return
    (change,) = translate(GITLAB, received(case), options_of(case, "span")).changes
    event = case.partition("__")[0]
    assert change.delivery.model_dump() == {"source": "gitlab", "id": DELIVERY_ID, "event": event}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_no_address_secret_or_variable_gets_into_a_change(case: str, mode: str) -> None:
    written = json.dumps(outcome(case, mode))
    for secret in ("mail.example.test", "hunter2", "PASSWORD", "[REDACTED]"):
        assert secret not in written
    assert "git@" not in written


WHENS = {
    ("pipeline", "running_again"): "running again",
    ("pipeline", "canceled_before_it_ran"): "canceled before it ran",
    ("build", "canceled_before_it_ran"): "canceled before it ran",
    ("build", "failed_before_it_ran"): "failed before it ran",
    ("pipeline", "failed_deploy_was_allowed"): "success, with a failed deploy",
    ("pipeline", "merge_request_of_a_fork"): "any, of a merge request",
    ("pipeline", "merge_request_with_warnings"): "any, of a merge request",
    ("build", "without_environment"): "any, without environment or not its start",
    ("build", "stops_an_environment"): "any, without environment or not its start",
    ("issue", "label_added"): "incident label added",
    ("issue", "label_removed"): "incident label removed",
    ("issue", "test_button_open_though_closed"): "open, though closed",
    ("issue", "plain"): "any, no incident",
    ("issue", "task"): "any, no incident",
    ("vulnerability", "confirmed"): "confirmed, or detected again",
    ("vulnerability", "detected_again"): "confirmed, or detected again",
    ("vulnerability", "medium"): "any, below vulnerability_severity",
}
"""Fixtures of which one has to know more than the status to say what row of the table they are of."""

OUTSIDE_THE_TABLE = (
    "custom_template",
    "of_the_future",
    "pipeline__other_branch",
    "pipeline__child",
    "pipeline__merge_request_asked_for",
    "pipeline__canceling",
)


def flag(payload: Any) -> str:
    return "turned on" if payload["object_attributes"]["active"] else "turned off"


def push(payload: Any) -> str:
    if not payload["after"].strip("0"):
        return "deleted"
    return "moved" if payload["before"].strip("0") else "created"


def step(payload: Any) -> str:
    attributes = payload["object_attributes"]
    return str(attributes.get("action") or {"opened": "open", "closed": "close"}[attributes["state"]])


WORDS: dict[str, Callable[[Any], str]] = {
    "deployment": lambda payload: str(payload["status"]),
    "pipeline": lambda payload: str(payload["object_attributes"]["status"]),
    "build": lambda payload: str(payload["build_status"]),
    "release": lambda payload: str(payload["action"]),
    "issue": step,
    "vulnerability": lambda payload: str(payload["object_attributes"]["state"]),
    "feature_flag": flag,
    "tag_push": push,
    "access_token": lambda _: "expiring",
    "deploy_token": lambda _: "expiring",
}
"""Where a payload says in what state it is."""


def when_of(case: str) -> str:
    """What the table of features calls this fixture's state."""
    event, _, name = case.partition("__")
    word = WORDS.get(event, lambda _: "any")
    return WHENS.get((event, name)) or word(json.loads(body_of("gitlab", case)))


FEATURES = {(feature.event, feature.when): feature for feature in GITLAB.features}
IN_THE_TABLE = [case for case in CASES if not any(part in case for part in OUTSIDE_THE_TABLE)]


def effect_in(feature: Feature, mode: str) -> Effect | None:
    return feature.effect if mode == "point" else feature.span_effect or feature.effect


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", IN_THE_TABLE)
def test_the_table_of_features_says_what_each_fixture_becomes(case: str, mode: str) -> None:
    feature = FEATURES[case.partition("__")[0], when_of(case)]
    became = outcome(case, mode)
    if isinstance(became, dict):
        assert effect_in(feature, mode) is None
    else:
        assert [change["effect"] for change in became] == [effect_in(feature, mode)]
        assert [change["event"]["type"] for change in became] == [feature.type]


def test_every_row_of_the_table_has_a_fixture() -> None:
    assert {(case.partition("__")[0], when_of(case)) for case in IN_THE_TABLE} == set(FEATURES)
    assert len(FEATURES) == len(GITLAB.features)


@pytest.mark.parametrize("case", IN_THE_TABLE)
def test_optional_events_and_only_they_are_off_until_they_are_asked_for(case: str) -> None:
    feature = FEATURES[case.partition("__")[0], when_of(case)]
    if not feature.type:
        return
    options = options_of(case, "span").model_copy(update={"events": None})
    if not feature.is_optional:
        assert translate(GITLAB, received(case), options).changes
        return
    with pytest.raises(Ignored, match=rf"'{feature.event}' is off; name it in \[gitlab\] events"):
        translate(GITLAB, received(case), options)
