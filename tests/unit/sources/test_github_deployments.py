"""Deployments of one run: one marker for each id, in every order, as points and as spans."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given

from apitraffic_events.event import Event
from receiver.delivery.folding import fold
from receiver.events import Change
from receiver.routing import Route, route
from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.source import translate
from tests.support.deployments import Deployment, delivered, last_outcomes, runs
from tests.support.github import received
from tests.support.properties import reproducible
from tests.support.source_fixtures import body_of

EMPTY: Final[Mapping[str, str]] = {}
MODES: Final = ("point", "span")
SUCCESS: Final = json.loads(body_of("github", "deployment_status__production_success"))


def change_of(case: str, mode: str, number: int = 0) -> Change:
    return read(json.loads(body_of("github", f"deployment_status__{case}")), mode, number)


def read(payload: dict[str, Any], mode: str, number: int = 0, headers: Mapping[str, str] = EMPTY) -> Change:
    delivery = received(json.dumps(payload).encode(), "deployment_status")
    delivery = replace(delivery, id=f"delivery {number}", headers={**delivery.headers, **headers})
    (change,) = translate(GITHUB, delivery, Options.model_validate({"deployments": mode})).changes
    return change


def shown(*changes: Change) -> Event:
    found = [fold(order) for order in permutations(changes)]
    assert found[0] is not None
    assert all(event == found[0] for event in found)
    return found[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("plan_and_apply_1_plan", "plan_and_apply_2_apply"),
        ("matrix_eu", "matrix_us_failed"),
        ("failed_before_rollback", "rollback_after_failure"),
    ],
)
def test_deployments_of_one_run_have_no_key_in_common(first: str, second: str, mode: str) -> None:
    one, other = change_of(first, mode), change_of(second, mode)
    assert one.event.metadata["run_id"] == other.event.metadata["run_id"]
    assert not {*one.names, *one.former_keys} & {*other.names, *other.former_keys}


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_after_a_success_counts_in_every_order(mode: str) -> None:
    changes = [
        change_of("production_success", mode, 1),
        change_of("failure_after_success", mode, 2),
        change_of("failure_after_success", mode, 3),
    ]
    event = shown(*changes)
    assert event.name == "Failed deploy acme/shop main@0123456 to production"
    assert event.description == "Failed after 9 min 58 s, deployed by bob.\nSmoke tests failed"
    assert event.metadata["status"] == "failure"
    drawn = (event.to_api()["startedAt"], event.to_api().get("endedAt"))
    assert (
        drawn
        == {
            "point": ("2026-01-10T10:10:00.000Z", None),
            "span": ("2026-01-10T10:00:02.000Z", "2026-01-10T10:10:00.000Z"),
        }[mode]
    )


@pytest.mark.parametrize("is_start_lost", [True, False])
def test_the_wait_for_an_approval_is_no_part_of_a_span_or_its_words(is_start_lost: bool) -> None:
    started = json.loads(body_of("github", "deployment_status__started_after_two_days"))
    ended = json.loads(body_of("github", "deployment_status__approved_after_two_days"))
    started["deployment"]["id"] = ended["deployment"]["id"]
    changes = [read(started, "span", 1), read(ended, "span", 2)]
    event = shown(*changes[1 if is_start_lost else 0 :]).to_api()
    assert (event["startedAt"], event["endedAt"]) == ("2026-11-28T09:55:00.000Z", "2026-11-28T10:00:00.000Z")
    assert event["description"] == "Succeeded after 5 min, deployed by alice."


def test_without_a_check_run_the_opening_says_when_the_work_of_a_job_began() -> None:
    started, ended = (
        json.loads(body_of("github", f"deployment_status__{case}"))
        for case in ("started_after_two_days", "approved_after_two_days")
    )
    started["deployment"]["id"] = ended["deployment"]["id"]
    del started["check_run"], ended["check_run"]
    event = shown(read(started, "span", 1), read(ended, "span", 2)).to_api()
    assert (event["startedAt"], event["endedAt"]) == ("2026-11-28T09:55:02.000Z", "2026-11-28T10:00:00.000Z")
    assert event["description"] == "Succeeded, deployed by alice."
    alone = shown(read(ended, "span", 2)).to_api()
    assert (alone["startedAt"], alone["description"]) == ("2026-11-28T10:00:00.000Z", event["description"])


def test_a_deployer_by_the_api_says_the_time_since_its_start() -> None:
    started, ended = deepcopy(SUCCESS), deepcopy(SUCCESS)
    for payload in (started, ended):
        payload["check_run"] = payload["workflow_run"] = None
    started["deployment_status"] |= {"state": "in_progress", "created_at": "2026-01-10T10:04:03Z"}
    assert (
        read(ended, "point").event.description
        == "Succeeded after 5 min 3 s, deployed by github-actions[bot]."
    )
    event = shown(read(started, "span", 1), read(ended, "span", 2))
    assert event.description == "Succeeded after 1 min, deployed by github-actions[bot]."


class TestTheHost:
    """The same names and ids on github.com and on two servers."""

    @pytest.mark.parametrize("is_by_header", [True, False])
    def test_is_part_of_the_key_except_github_com(self, is_by_header: bool) -> None:
        keys = []
        for host in ("github.com", "ghes.example.test", "ghes2.example.test"):
            payload, headers = deepcopy(SUCCESS), dict(EMPTY)
            if host != "github.com" and is_by_header:
                headers = {"x-github-enterprise-host": host.upper()}
                del payload["repository"]["html_url"]
            else:
                payload["repository"]["html_url"] = f"https://{host}/acme/shop"
            keys.append(read(payload, "point", headers=headers).key)
        assert keys == [
            "github:deployment:4242",
            "github:ghes.example.test:deployment:4242",
            "github:ghes2.example.test:deployment:4242",
        ]

    @pytest.mark.parametrize("host", ["", " ", "a/b", "a b", "é"])
    def test_that_is_none_counts_as_not_sent(self, host: str) -> None:
        assert (
            read(SUCCESS, "point", headers={"x-github-enterprise-host": host}).key == "github:deployment:4242"
        )


def test_a_renamed_repository_changes_no_key() -> None:
    before, after = (change_of(case, "point") for case in ("production_success", "repository_renamed"))
    assert before.key == after.key
    assert before.claims[:2] == after.claims[:2]


@pytest.mark.parametrize(
    ("name", "flag", "production"),
    [
        ("production", False, True),
        ("Production", False, True),
        ("production", None, True),
        ("staging", False, False),
        ("live", True, True),
        ("Production \N{EN DASH} shop-web", False, None),
        ("prod/eu", False, None),
        ("product-search", False, False),
        ("staging", None, None),
    ],
)
def test_whether_it_is_production_is_said_by_its_name_too(
    name: str, flag: bool | None, production: bool | None
) -> None:
    payload = deepcopy(SUCCESS)
    payload["deployment_status"]["environment"] = name
    payload["deployment"]["production_environment"] = flag
    assert read(payload, "point").event.metadata.get("production") is production


def test_upper_and_lower_case_count_in_a_routes_environment() -> None:
    """GitHub takes `Staging` and `staging` for one environment and sends the one that was written first."""
    change = change_of("environment_in_capitals", "point")
    for pattern, matches in (("staging", False), ("Staging", True), ("[Ss]taging", True)):
        rule = Route.model_validate({"match": {"environment": pattern}, "skip": True})
        assert (route(change, [rule]) is None) is matches


def test_routes_know_what_set_off_the_run() -> None:
    change = change_of("production_success", "point")
    for pattern, matches in (("push", True), ("pull_request*", False)):
        rule = Route.model_validate({"match": {"trigger": pattern}, "skip": True})
        assert (route(change, [rule]) is None) is matches


@reproducible
@given(runs())
def test_every_deployment_shows_its_own_last_outcome(run: tuple[list[Deployment], list[int]]) -> None:
    """The names that they share are left out here: tests/integration/delivery has Redis for them."""
    deployments, order = run
    for mode in MODES:
        known: dict[str, list[Change]] = {}
        for payload, number in delivered(deployments, order):
            if mode == "span" or payload["deployment_status"]["state"] != "in_progress":
                change = read(payload, mode, number)
                known.setdefault(change.key, []).append(change)
        found = {key: event for key, changes in known.items() if (event := fold(changes))}
        outcomes = {
            str(event.metadata["deployment_id"]): event.metadata["status"] for event in found.values()
        }
        assert outcomes == last_outcomes(deployments, mode)


@pytest.mark.parametrize(
    ("environment", "is_production"),
    [
        ("production", True),
        ("Production", True),
        *(
            (name, None)
            for name in ("eu-production", "aws-prod", "shop/production", "prod_eu", "production1")
        ),
        ("live", None),
        *((name, False) for name in ("staging", "preproduction", "products", "delivery", "review/alive")),
    ],
)
def test_what_is_named_like_production_is_not_said_to_be_none(
    environment: str, is_production: bool | None
) -> None:
    payload = json.loads(body_of("github", "deployment_status__production_success"))
    payload["deployment"] |= {"environment": environment, "production_environment": False}
    payload["deployment_status"]["environment"] = environment
    assert read(payload, "point").event.metadata.get("production") is is_production


def test_a_deployment_of_a_forks_pull_request_does_not_read_like_one_of_our_branch() -> None:
    payload = json.loads(body_of("github", "deployment_status__production_success"))
    payload["deployment"] |= {"ref": "main", "sha": "0123456789abcdef0123456789abcdef01234567"}
    ours = read(payload, "point").event
    payload["workflow_run"] = payload.get("workflow_run") or {"id": 7, "run_attempt": 1}
    payload["workflow_run"] |= {
        "event": "pull_request",
        "head_repository": {"id": 666, "full_name": "mallory/shop"},
    }
    theirs = read(payload, "point").event
    assert " main@0123456 " in ours.name
    assert " mallory:main@0123456 " in theirs.name
    assert (ours.metadata["ref"], theirs.metadata["ref"]) == ("main", "mallory:main")
