"""Jenkins' deliveries as files, each with everything it must become written beside it."""

import json
from fnmatch import fnmatchcase

import pytest

from receiver.sources.jenkins import JENKINS
from receiver.sources.jenkins.deploys import FEATURES
from receiver.sources.jenkins.options import Options
from receiver.sources.not_translated import Ignored
from receiver.sources.source import translate
from tests.support.jenkins import received
from tests.support.source_fixtures import FIXTURES, MODES, body_of, cases, expected, outcome

CASES = cases("jenkins")
NO_MARKER_FOR_ANOTHER_REASON = {
    "completed__job_that_does_not_deploy",
    "completed__no_result_yet",
    "completed__no_status",
    "completed__pull_request",
    "completed__unknown_status",
}
"""What the table of features says of an event holds for jobs that deploy, and for Jenkins' own results."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_a_delivery_becomes_exactly_what_is_written_beside_it(case: str, mode: str) -> None:
    assert outcome(JENKINS, received(case), mode) == expected("jenkins", case, mode)


@pytest.mark.parametrize("case", CASES)
def test_the_event_is_the_one_that_the_file_is_named_after(case: str) -> None:
    assert received(case).event == case.partition("__")[0]


@pytest.mark.parametrize("case", CASES)
def test_a_change_says_where_it_came_from(case: str) -> None:
    delivery = received(case)
    try:
        (change,) = translate(JENKINS, delivery, Options(deployments="span")).changes
    except Ignored:
        return
    assert change.delivery.model_dump() == {
        "source": "jenkins",
        "id": delivery.id,
        "event": case.partition("__")[0],
    }


def row_of(case: str) -> tuple[str, str]:
    """The row of the table that a fixture is an example of: its event, and its result where that tells."""
    event = case.partition("__")[0]
    content = json.loads(body_of("jenkins", case))
    build = (content.get("data") or content).get("build") or {}
    status = str(build.get("status")).replace("FAILED", "FAILURE")
    rows = {(feature.event, feature.when) for feature in FEATURES}
    return (event, status) if (event, status) in rows else (event, "any")


@pytest.mark.parametrize("case", [case for case in CASES if case not in NO_MARKER_FOR_ANOTHER_REASON])
def test_no_fixture_contradicts_the_table_of_features(case: str) -> None:
    (feature,) = [feature for feature in FEATURES if (feature.event, feature.when) == row_of(case)]
    for mode, effect in (("point", feature.effect), ("span", feature.span_effect or feature.effect)):
        found = expected("jenkins", case, mode)
        if effect is None:
            assert "ignored" in found
        else:
            (change,) = found
            assert (change["effect"], change["event"]["type"]) == (effect, feature.type)


def test_every_row_of_the_table_of_features_has_a_fixture() -> None:
    rows = [(feature.event, feature.when) for feature in FEATURES]
    assert len(rows) == len(set(rows))
    assert set(rows) == {row_of(case) for case in CASES if case not in NO_MARKER_FOR_ANOTHER_REASON}


def test_nothing_that_becomes_a_marker_is_off_by_default() -> None:
    for feature in FEATURES:
        if feature.type:
            assert any(fnmatchcase(feature.event, pattern) for pattern in JENKINS.default_events)
            assert not feature.is_optional


@pytest.mark.parametrize("case", CASES)
def test_no_secret_of_a_body_is_in_what_it_becomes(case: str) -> None:
    written = (FIXTURES / "jenkins" / f"{case}.expected.json").read_text()
    assert "hunter2" not in written
    for mode in MODES:
        assert "hunter2" not in json.dumps(outcome(JENKINS, received(case), mode))
