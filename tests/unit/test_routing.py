"""`[[route]]`: the first route that matches and has a word on a setting decides that setting."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.events import Change
from receiver.routing import Route, route
from tests.support.changes import change

PRODUCTION = change(
    "point",
    metadata={
        "repository": "acme/checkout",
        "environment": "production",
        "ref": "main",
        "service": "Checkout",
        "job": "deploy",
        "severity": "P1",
        "trigger": "push",
        "production": True,
        "deployment_id": "4242",
    },
)


def routed(*rules: dict[str, Any], to: Change = PRODUCTION) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    found = route(to, [Route.model_validate(rule) for rule in rules])
    return None if found is None else (found.event.buckets, found.event.environments)


def matches(to: Change = PRODUCTION, /, **match: Any) -> bool:
    return routed({"match": match, "skip": True}, to=to) is None


class TestWhatDecides:
    def test_without_routes_a_change_stays_as_it_is(self) -> None:
        assert route(PRODUCTION, []) == PRODUCTION

    def test_a_route_without_a_match_is_for_all(self) -> None:
        assert routed({"buckets": ["A"]}) == (("A",), ("*",))

    def test_the_first_match_decides_a_setting(self) -> None:
        assert routed({"buckets": ["A"]}, {"buckets": ["B"]}) == (("A",), ("*",))

    def test_a_route_that_does_not_match_decides_nothing(self) -> None:
        assert routed({"match": {"source": "gitlab"}, "buckets": ["A"]}, {"buckets": ["B"]}) == (
            ("B",),
            ("*",),
        )

    def test_what_the_first_match_leaves_open_a_later_one_decides(self) -> None:
        assert routed({"buckets": ["A"]}, {"buckets": ["B"], "environments": ["E"]}) == (("A",), ("E",))
        assert routed({"environments": ["E"]}, {"buckets": ["B"]}) == (("B",), ("E",))

    def test_a_later_skip_skips_what_an_earlier_route_places(self) -> None:
        assert routed({"buckets": ["A"]}, {"skip": True}) is None

    def test_an_earlier_skip_false_keeps_what_a_later_route_skips(self) -> None:
        keep = {"match": {"environment": "production"}, "skip": False}
        assert routed(keep, {"skip": True}) == (("*",), ("*",))

    def test_an_earlier_skip_counts_before_a_later_skip_false(self) -> None:
        assert routed({"skip": True}, {"skip": False}) is None

    def test_a_change_keeps_its_own_scope_where_no_route_has_a_word(self) -> None:
        own = change("point", buckets=["Own"], environments=["E"])
        assert routed({"environments": ["F"]}, to=own) == (("Own",), ("F",))

    def test_nothing_else_of_a_change_is_touched(self) -> None:
        found = route(PRODUCTION, [Route(buckets=("A",))])
        assert found is not None
        assert found.event.with_scope(("*",), None) == PRODUCTION.event
        assert found.model_copy(update={"event": PRODUCTION.event}) == PRODUCTION
        assert PRODUCTION.event.buckets == ("*",)


class TestMatch:
    @pytest.mark.parametrize(
        ("field", "pattern"),
        [
            ("source", "github"),
            ("event", "deployment_status"),
            ("type", "deployment"),
            ("repository", "acme/checkout"),
            ("service", "Checkout"),
            ("job", "deploy"),
            ("environment", "production"),
            ("ref", "main"),
            ("severity", "P1"),
            ("trigger", "push"),
            ("environment", "prod*"),
            ("environment", "*"),
            ("environment", "p?oduction"),
            ("environment", "[op]rod*"),
            ("repository", "acme/*"),
            ("repository", "*/checkout"),
            ("environment", "[!s]*"),
        ],
    )
    def test_each_field_is_compared_with_shell_patterns(self, field: str, pattern: str) -> None:
        assert matches(**{field: pattern})
        assert not matches(**{field: f"not {pattern}"})

    def test_upper_and_lower_case_differ_on_every_system(self) -> None:
        assert not matches(environment="Production")
        assert not matches(environment="PROD*")

    def test_a_pattern_is_for_the_whole_value(self) -> None:
        assert not matches(environment="prod")
        assert not matches(environment="duction")

    def test_all_fields_given_must_match(self) -> None:
        assert matches(source="github", environment="prod*")
        assert not matches(source="github", environment="staging")

    def test_one_pattern_of_a_list_is_enough(self) -> None:
        assert matches(environment=["staging", "prod*"])
        assert not matches(environment=["staging", "test"])

    @pytest.mark.parametrize(
        "field", ["repository", "environment", "ref", "service", "job", "severity", "trigger"]
    )
    def test_what_a_change_does_not_say_matches_no_pattern(self, field: str) -> None:
        bare = change("point")
        assert not matches(bare, **{field: "*"})
        assert not matches(bare, **{field: [""]})

    def test_source_event_and_type_come_from_the_change_and_not_from_its_metadata(self) -> None:
        lying = change("point", metadata={"source": "gitlab", "event": "push", "type": "incident"})
        assert matches(lying, source="github", event="deployment_status", type="deployment")
        assert not matches(lying, source="gitlab")

    def test_metadata_that_is_not_text_matches_nothing(self) -> None:
        assert not matches(change("point", metadata={"service": 7, "job": ["deploy"]}), service="*")
        assert not matches(change("point", metadata={"service": 7, "job": ["deploy"]}), job="*")


class TestSpelling:
    def test_one_value_needs_no_list(self) -> None:
        assert Route.model_validate({"buckets": "A", "match": {"ref": "main"}}) == Route.model_validate(
            {"buckets": ["A"], "match": {"ref": ["main"]}}
        )

    @pytest.mark.parametrize(
        "rule",
        [
            {"bucket": ["A"]},
            {"match": {"repo": "x"}},
            {"buckets": []},
            {"environments": []},
            {"match": {"ref": []}},
            {"skip": "perhaps"},
            {"buckets": [7]},
            {"match": "github"},
            {"match": {"ref": 7}},
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, rule: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Route.model_validate(rule)


class TestVerdict:
    @pytest.mark.parametrize(
        ("rules", "after"),
        [
            ([], None),
            ([{"verdict": {"after": 30}}], timedelta(minutes=30)),
            ([{"verdict": False}, {"verdict": {"after": 30}}], timedelta(0)),
            ([{"match": {"environment": "staging"}, "verdict": False}], None),
        ],
    )
    def test_the_first_route_that_says_it_decides_how_long_after_a_deploy_it_is_judged(
        self, rules: list[dict[str, Any]], after: timedelta | None
    ) -> None:
        shown = route(PRODUCTION, [Route.model_validate(rule) for rule in rules])
        assert shown is not None
        assert shown.verdict_after == after
        assert Change.model_validate_json(shown.model_dump_json()) == shown

    def test_a_change_of_which_nothing_is_said_reads_as_before(self) -> None:
        assert "verdict_after" not in PRODUCTION.model_dump(mode="json")

    def test_a_route_is_shown_as_it_is_written(self) -> None:
        for written in ({"verdict": False}, {"verdict": {"after": 30}}):
            assert Route.model_validate(written).settings() == written
