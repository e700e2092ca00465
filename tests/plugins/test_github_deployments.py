"""Several deployments of one workflow run: each job, matrix leg and step has an event with its own outcome.

All run under act, directly and through the receiver, as jobs whose id is known (github.com) and as jobs whose
id is not (GitHub Enterprise Server, older runners; act knows none).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from apitraffic_events.timestamps import format_timestamp, now
from tests.plugins.contract import RECEIVER_SECRET, TOKEN, listed
from tests.support import github
from tests.support.act import ACT, GitHubAction, need
from tests.support.local_api import LocalApi
from tests.support.source_fixtures import body_of
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

JOB_IDS: Final = count(51_725_241_954, 100)
"""Each test takes its jobs' ids from a hundred of its own."""
LEGS: Final = 8
Step = dict[str, object]


@dataclass(frozen=True, slots=True)
class Way:
    """How events are sent, and the events that came of it, once nothing is under way."""

    inputs: Mapping[str, str]
    events: Callable[[], list[dict[str, Any]]]

    def by_version(self) -> dict[str, dict[str, Any]]:
        """Version -> event; fails if two events have one version or one key."""
        events = self.events()
        found = {event["metadata"].get("version", event["name"]): event for event in events}
        assert len(found) == len(events)
        assert len({event["metadata"]["marker_key"] for event in events}) == len(events)
        return found

    def outcomes(self) -> dict[str, str]:
        """Version -> outcome; fails if an event is open, or its words do not say its outcome."""
        said = {"success": "Succeeded", "failure": "Failed", "cancelled": "Cancelled", "unknown": "Ended"}
        found = self.by_version()
        for event in found.values():
            assert event["endedAt"] is not None
            assert event["description"].startswith(said[event["metadata"]["status"]])
            assert event["name"].startswith("Failed") == (event["metadata"]["status"] == "failure")
        return {version: event["metadata"]["status"] for version, event in found.items()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        running.environment["EVENTS_WEBHOOK_SECRET"] = RECEIVER_SECRET
        running.receiver.start()
        running.worker.start()
        yield running


@pytest.fixture
def receiver(stack: Stack) -> Way:
    for event in stack.events():
        stack.api.call("DELETE", f"/events/{event['sid']}")

    def events() -> list[dict[str, Any]]:
        wait_until(stack.is_idle, "delivered")
        return stack.events()

    return Way({"receiver-url": stack.url, "receiver-secret": RECEIVER_SECRET}, events)


@pytest.fixture
def direct(api: LocalApi) -> Way:
    inputs = {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}
    return Way(inputs, lambda: listed(api))


@pytest.fixture(params=["direct", "receiver"])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[True, False], ids=["job id", "no job id"])
def job_id(request: pytest.FixtureRequest) -> Callable[[int], dict[str, str]]:
    """The input that says the id of the run's first, second or another job, if ids are known."""
    first = next(JOB_IDS)
    return lambda number: {"check-run-id": str(first + number)} if request.param else {}


@pytest.fixture
def action(tmp_path: Path) -> GitHubAction:
    need(ACT, "node", "git")
    return GitHubAction(tmp_path)


@pytest.fixture
def deployment(action: GitHubAction, way: Way) -> Callable[..., Step]:
    """A step that opens a deployment to production; `_` in the names of its inputs is `-`."""

    def make(version: str, more: Mapping[str, str] = {}, **inputs: str) -> Step:
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        own = {"environment": "production", "version": version} | named | dict(more)
        return action.step("deployment", dict(way.inputs) | own) | {"id": f"marker-{version}"}

    return make


JobId = Callable[[int], dict[str, str]]
Deployment = Callable[..., Step]


def matrix(step: Step, legs: list[dict[str, object]]) -> dict[str, object]:
    return {
        "strategy": {"fail-fast": False, "matrix": {"include": legs}},
        "steps": [step, {"run": "${{ matrix.run }}"}],
    }


def test_a_matrix_leg_that_fails_is_not_hidden_by_one_that_succeeds(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    legs: list[dict[str, object]] = [
        {"region": "eu", "run": "true", "id": job_id(0).get("check-run-id", "")},
        {"region": "us", "run": "false", "id": job_id(1).get("check-run-id", "")},
    ]
    step = deployment("${{ matrix.region }}", {"check-run-id": "${{ matrix.id }}"})
    run = action.run_jobs({"deploy": matrix(step | {"id": "marker"}, legs)})
    assert way.outcomes() == {"eu": "success", "us": "failure"}, run.log


def test_many_legs_at_the_same_time_never_touch_each_others_event(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    step = deployment("${{ matrix.leg }}", {"check-run-id": "${{ matrix.id }}"}) | {"id": "marker"}
    legs: list[dict[str, object]] = [
        {"leg": f"v{leg}", "run": str(leg % 3 != 0).lower(), "id": job_id(leg).get("check-run-id", "")}
        for leg in range(LEGS)
    ]
    log = action.run_jobs({"deploy": matrix(step, legs)}).log
    expected = {leg["leg"]: "success" if leg["run"] == "true" else "failure" for leg in legs}
    assert way.outcomes() == expected, log


def test_two_jobs_that_deploy_to_one_environment_are_two(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    jobs = {
        name: {"steps": [deployment(name, job_id(number)), {"run": run}]}
        for number, (name, run) in enumerate({"api": "false", "web": "true"}.items())
    }
    run = action.run_jobs(jobs)
    assert way.outcomes() == {"api": "failure", "web": "success"}, run.log


def test_two_steps_of_a_job_that_deploy_to_one_environment_are_two(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    steps = [
        deployment("v1", job_id(0), name="Migrate the database"),
        {"run": "true"},
        deployment("v2", job_id(0), environment="Production"),
        {"run": "false"},
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    assert way.outcomes() == {"v1": "success", "v2": "failure"}, run.log
    events = way.by_version()
    assert events["v1"]["name"] == "Migrate the database"
    assert events["v2"]["metadata"]["marker_key"] == f"{events['v1']['metadata']['marker_key']}:2"


def test_production_that_fails_does_not_turn_staging_into_failed(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    steps = [
        deployment("to-staging", job_id(0), environment="staging"),
        {"run": "true"},
        deployment("to-production", job_id(0)),
        {"run": "sleep 1; false"},
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    assert way.outcomes() == {"to-staging": "success", "to-production": "failure"}, run.log
    events = way.by_version()
    assert events["to-staging"]["endedAt"] <= events["to-production"]["startedAt"]


def test_staging_that_fails_and_production_that_is_never_reached(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    steps = [
        deployment("to-staging", job_id(0), environment="staging"),
        {"run": "false"},
        deployment("to-production", job_id(0)),
        {"run": "true"},
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    assert way.outcomes() == {"to-staging": "failure"}, run.log


@pytest.mark.parametrize(
    ("rollback", "inputs", "outcome"),
    [
        ("true", {"job-status": "${{ steps.rollback.outcome }}"}, "success"),
        ("false", {"job-status": "${{ steps.rollback.outcome }}"}, "failure"),
        ("true", {}, "unknown"),
        ("false", {}, "unknown"),
    ],
)
def test_a_rollback_in_the_same_job_says_its_own_outcome_or_none(
    action: GitHubAction,
    way: Way,
    deployment: Deployment,
    job_id: JobId,
    rollback: str,
    inputs: dict[str, str],
    outcome: str,
) -> None:
    steps = [
        deployment("v2", job_id(0)),
        {"run": "false"},
        {"if": "failure()", **deployment("v1", job_id(0) | inputs)},
        {"if": "failure()", "id": "rollback", "run": rollback},
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    assert way.outcomes() == {"v2": "failure", "v1": outcome}, run.log


def test_the_outcome_of_a_step_goes_over_the_status_of_the_job(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    def given(step: str) -> dict[str, str]:
        return {"job-status": f"${{{{ steps.{step}.outcome }}}}"}

    steps = [
        deployment("v1", job_id(0) | given("api")),
        {"id": "api", "run": "false", "continue-on-error": True},
        deployment("v2", job_id(0) | given("web")),
        {"id": "web", "run": "true"},
        deployment("v3", job_id(0) | given("docs")),
        {"run": "false"},
        {"id": "docs", "run": "true"},
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    assert way.outcomes() == {"v1": "failure", "v2": "success", "v3": "cancelled"}, run.log


def test_steps_that_are_given_one_key_share_an_event(
    action: GitHubAction, way: Way, deployment: Deployment
) -> None:
    key = f"mine:{next(JOB_IDS)}"
    steps = [
        deployment("v1", marker_key=key, close="false"),
        {"run": "true"},
        deployment("v2", marker_key=key),
    ]
    run = action.run_jobs({"deploy": {"steps": steps}})
    (event,) = way.events()
    assert event["metadata"]["marker_key"] == key, run.log
    assert event["metadata"]["status"] == "success"


def test_an_event_step_beside_a_deployment_is_an_event_of_its_own(
    action: GitHubAction, way: Way, deployment: Deployment, job_id: JobId
) -> None:
    inputs = dict(way.inputs) | {"environment": "production", "version": "v2"} | job_id(0)
    steps = [deployment("v1", job_id(0)), action.step("event", inputs), {"run": "false"}]
    run = action.run_jobs({"deploy": {"steps": steps}})
    events = way.by_version()
    assert events["v1"]["metadata"]["status"] == "failure", run.log
    assert events["v2"]["metadata"]["status"] == "success"
    assert events["v2"]["endedAt"] is None


def test_the_key_names_the_job_on_its_host(tmp_path: Path, way: Way, job_id: JobId) -> None:
    need(ACT, "node", "git")
    action = GitHubAction(tmp_path, options=("--github-instance", "ghes.example.test"))
    run = action.deployment(dict(way.inputs) | {"environment": "Production"} | job_id(0))
    (event,) = way.events()
    key = event["metadata"]["marker_key"]
    if job_id(0):
        assert key == f"github:ghes.example.test:job:{job_id(0)['check-run-id']}:production", run.log
        assert event["metadata"]["check_run_id"] == job_id(0)["check-run-id"]
    else:
        assert key.startswith("github:ghes.example.test:run:1:1:production:job:"), run.log
    assert event["metadata"]["environment"] == "Production"


def webhook(number: int, state: str, run_id: int, **changes: Any) -> bytes:
    """What GitHub sends of the job with this id, which ends a minute from now. Runs of act have the id 1."""
    payload: dict[str, Any] = json.loads(body_of("github", "deployment_status__matrix_eu"))
    began_at, ended_at = (format_timestamp(now() + timedelta(seconds=seconds)) for seconds in (-5, 60))
    payload["deployment"] |= {"id": number, "created_at": began_at}
    payload["deployment_status"] |= {"id": number, "state": state, "created_at": ended_at}
    payload["check_run"] |= {"id": number, "started_at": began_at, "conclusion": state}
    payload["workflow_run"] |= {"id": run_id, "run_attempt": 1, "run_started_at": began_at}
    return json.dumps(payload | changes).encode()


def post(stack: Stack, *bodies: bytes) -> None:
    for body in bodies:
        assert github.post(stack.url, body).status_code == HTTPStatus.ACCEPTED
    wait_until(stack.is_idle, "delivered")


@pytest.mark.parametrize("is_webhook_first", [True, False])
def test_each_job_joins_the_deployment_that_the_webhook_reports_of_it(
    action: GitHubAction, stack: Stack, receiver: Way, is_webhook_first: bool
) -> None:
    eu, us = (next(JOB_IDS) for _ in range(2))
    bodies = (webhook(eu, "success", run_id=eu), webhook(us, "failure", run_id=eu))
    inputs = dict(receiver.inputs) | {
        "environment": "Production",
        "version": "${{ matrix.region }}",
        "check-run-id": "${{ matrix.id }}",
    }
    legs: list[dict[str, object]] = [
        {"region": "eu", "run": "true", "id": str(eu)},
        {"region": "us", "run": "true", "id": str(us)},
    ]
    if is_webhook_first:
        post(stack, *bodies)
    run = action.run_jobs({"deploy": matrix(action.step("deployment", inputs), legs)})
    if not is_webhook_first:
        post(stack, *bodies)
    facts = {event["metadata"]["version"]: event["metadata"] for event in receiver.events()}
    assert len(receiver.events()) == len(facts), run.log
    assert {version: str(each["deployment_id"]) for version, each in facts.items()} == {
        "eu": str(eu),
        "us": str(us),
    }
    # What GitHub says of the job goes over what the plugin saw.
    assert {version: each["status"] for version, each in facts.items()} == {"eu": "success", "us": "failure"}


@pytest.mark.parametrize("is_webhook_first", [True, False])
def test_a_job_without_a_known_id_joins_the_only_deployment_of_its_run(
    tmp_path: Path, stack: Stack, receiver: Way, is_webhook_first: bool
) -> None:
    need(ACT, "node", "git")
    number = next(JOB_IDS)
    host = f"ghes-{number}.example.test"
    action = GitHubAction(tmp_path, options=("--github-instance", host))
    repository = {"full_name": "acme/shop", "html_url": f"https://{host}/acme/shop"}
    body = webhook(number, "success", run_id=1, repository=repository)
    if is_webhook_first:
        post(stack, body)
    run = action.deployment(dict(receiver.inputs) | {"environment": "production", "version": "v1"})
    if not is_webhook_first:
        post(stack, body)
    (event,) = receiver.events()
    assert event["metadata"]["deployment_id"] == str(number), run.log
    assert event["metadata"]["version"] == "v1"


class TestDirectlyBesideWebhooks:
    """Events in the API that webhooks of the same run have created."""

    def webhooks(self, api: LocalApi, **facts: str) -> str:
        """The key of one more."""
        known = {"run_id": "1", "run_attempt": "1", "environment": "production", "status": "in_progress"}
        number = str(next(JOB_IDS))
        key = f"github:deployment:{number}"
        own = {"deployment_id": number, "marker_key": key, "check_run_id": number}
        body = {"type": "deployment", "name": "By a webhook", "metadata": known | own | facts}
        api.call("POST", "/events", json=body)
        return key

    def test_the_event_of_this_job_is_updated_and_keeps_its_key(
        self, action: GitHubAction, api: LocalApi, direct: Way
    ) -> None:
        neighbours, own = self.webhooks(api, check_run_id="6"), self.webhooks(api, check_run_id="5")
        inputs = {"environment": "Production", "check-run-id": "5", "version": "v1"}
        run = action.deployment(dict(direct.inputs) | inputs, "failure")
        found = {event["metadata"]["marker_key"]: event for event in direct.events()}
        assert set(found) == {neighbours, own}, run.log
        assert run.outputs["status"] == "updated"
        assert run.outputs["marker-key"] == own
        assert found[own]["metadata"]["joined_by"] == "github:job:5:production"
        assert found[own]["metadata"]["status"] == "failure"
        assert found[neighbours]["name"] == "By a webhook"

    @pytest.mark.parametrize("number", [1, 2])
    def test_by_the_run_alone_only_one_that_is_alone_is_updated(
        self, action: GitHubAction, api: LocalApi, direct: Way, number: int
    ) -> None:
        keys = {self.webhooks(api) for _ in range(number)}
        run = action.deployment(
            dict(direct.inputs) | {"environment": "production", "version": "v1"}, "failure"
        )
        events = direct.events()
        own = [event for event in events if event["metadata"].get("version") == "v1"]
        assert [event["metadata"]["status"] for event in own] == ["failure"], run.log
        assert len(events) == (1 if number == 1 else number + 1)
        others = [event for event in events if event not in own]
        assert {event["metadata"]["marker_key"] for event in others} == (keys if number > 1 else set())
        assert all(event["name"] == "By a webhook" for event in others)

    def test_of_jobs_at_the_same_time_only_one_has_the_webhooks_event(
        self, action: GitHubAction, api: LocalApi, direct: Way
    ) -> None:
        self.webhooks(api)
        legs: list[dict[str, object]] = [
            {"leg": f"v{leg}", "run": str(leg % 2 == 0).lower()} for leg in range(LEGS)
        ]
        inputs = {"environment": "production", "version": "${{ matrix.leg }}"}
        step = action.step("deployment", dict(direct.inputs) | inputs)
        log = action.run_jobs({"deploy": matrix(step, legs)}).log
        events = {event["metadata"].get("version"): event["metadata"] for event in direct.events()}
        expected = {leg["leg"]: "success" if leg["run"] == "true" else "failure" for leg in legs}
        assert {leg: events[leg]["status"] for leg in expected} == expected, log
        assert len(direct.events()) in {LEGS, LEGS + 1}
