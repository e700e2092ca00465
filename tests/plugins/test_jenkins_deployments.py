"""Several deployments of one Jenkins build: each is an event with its own outcome."""

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from receiver.events import marker_key
from tests.plugins.contract import RECEIVER_SECRET, TOKEN, deploy_twice, listed
from tests.support.jenkins_pipeline import BuildResult, Controller
from tests.support.local_api import LocalApi
from tests.support.source_fixtures import body_of
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

URL: Final = "https://jenkins.example.test/job/shop/job/deploy-checkout/42/"
BUILD: Final = f"jenkins:{URL.rstrip('/')}"
WEBHOOK_BUILDS: Final = count(1_000)
"""Builds of which there are webhooks, each of one test."""
JENKINS_TOKEN: Final = "token-of-the-jenkins-webhook"

FAILED_THEN_ROLLED_BACK: Final = """
    try {
        withApitrafficDeployment(environment: 'production', version: 'v2') { error 'broken' }
    } catch (Exception ignored) {
        withApitrafficDeployment(environment: 'production', version: 'v1') { echo 'rolling back' }
    }
"""
PARALLEL: Final = """
    parallel eu: {
        withApitrafficDeployment(environment: 'production', version: 'eu') { sh 'sleep 0.2'; error 'broken' }
    }, us: {
        withApitrafficDeployment(environment: 'production', version: 'us') { sh 'true' }
    }
"""
NESTED: Final = """
    withApitrafficDeployment(environment: 'production', version: 'outer') {
        try {
            withApitrafficDeployment(environment: 'production', version: 'inner') { error 'broken' }
        } catch (Exception ignored) {
            echo 'goes on'
        }
    }
"""
TRIED_AGAIN: Final = """
    for (attempt in [1, 2]) {
        catchError(buildResult: 'SUCCESS') {
            withApitrafficDeployment(environment: 'production', version: "try$attempt") {
                if (attempt == 1) { error 'broken' }
            }
        }
    }
"""
PIPELINES: Final = {
    "rollback": (FAILED_THEN_ROLLED_BACK, {"v2": "failure", "v1": "success"}),
    "parallel": (PARALLEL, {"eu": "failure", "us": "success"}),
    "nested": (NESTED, {"outer": "success", "inner": "failure"}),
    "tried again": (TRIED_AGAIN, {"try1": "failure", "try2": "success"}),
}
"""Pipeline -> version of each deployment in the order of their calls -> its outcome."""


def run(controller: Controller, api: LocalApi, script: str, **more: Any) -> BuildResult:
    """A build that sends directly."""
    environment = {"APITRAFFIC_ACCOUNT_SID": api.account_sid, "APITRAFFIC_API_URL": api.url, "BUILD_URL": URL}
    environment |= more.pop("environment", {})
    credentials = {"apitraffic-api-token": TOKEN}
    built = controller.build(script, environment=environment, credentials=credentials, **more)
    assert "Scripts not permitted" not in built.log, built.log
    assert built.findings == []
    return built


def outcomes(events: list[dict[str, Any]]) -> dict[str, str]:
    found = {event["metadata"]["version"]: event["metadata"]["status"] for event in events}
    assert len(found) == len(events)
    for event in events:
        assert event["name"].startswith("Failed") == (event["metadata"]["status"] == "failure")
        assert event["endedAt"] is not None
    return found


def keys(events: list[dict[str, Any]]) -> dict[str, str]:
    return {event["metadata"]["version"]: event["metadata"]["marker_key"] for event in events}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_call_is_an_event_with_its_own_outcome(
    controller: Controller, api: LocalApi, pipeline: str
) -> None:
    script, expected = PIPELINES[pipeline]
    built = run(controller, api, script)
    first, second = expected
    assert outcomes(listed(api)) == expected, built.log
    assert keys(listed(api)) == {first: f"{BUILD}:production", second: f"{BUILD}#2:production"}


def test_deployments_to_several_environments_are_called_after_them(
    controller: Controller, api: LocalApi
) -> None:
    script = """
        for (place in ['staging', 'production', 'staging', 'production', 'staging']) {
            withApitrafficDeployment(environment: place) { record([key: env.APITRAFFIC_MARKER_KEY]) }
        }
    """
    built = run(controller, api, script)
    assert [step["key"].removeprefix(BUILD) for step in built.recorded] == [
        ":staging",
        ":production",
        "#2:staging",
        "#2:production",
        "#3:staging",
    ]
    assert len(listed(api)) == 5


def test_a_build_has_no_two_deployments_that_its_webhook_speaks_of(
    controller: Controller, api: LocalApi
) -> None:
    """It would join the one without an environment with the one to an environment that it knows."""
    for script, expected in (
        ("withApitrafficDeployment { }\nwithApitrafficDeployment(environment: 'x') { }", ["", "#2:x"]),
        ("withApitrafficDeployment(environment: 'x') { }\nwithApitrafficDeployment { }", [":x", "#2"]),
        ("apitrafficEvent()\napitrafficEvent(environment: 'x')", ["", "#2:x"]),
    ):
        run(controller, api, script)
        found = sorted(event["metadata"]["marker_key"].removeprefix(BUILD) for event in listed(api))
        assert found == sorted(expected)
        for event in listed(api):
            api.call("DELETE", f"/events/{event['sid']}")


def test_an_event_of_a_post_condition_is_about_the_latest_deployment(
    controller: Controller, api: LocalApi
) -> None:
    post = "apitrafficEvent environment: 'production', status: 'success', metadata: [checked: 'yes']"
    for _ in range(2):
        run(controller, api, f"{FAILED_THEN_ROLLED_BACK}\n{post}\n{post}")
        found = {event["metadata"]["marker_key"]: event["metadata"] for event in listed(api)}
        assert found.keys() == {f"{BUILD}:production", f"{BUILD}#2:production"}
        assert found[f"{BUILD}:production"]["status"] == "failure"
        assert found[f"{BUILD}#2:production"]["checked"] == "yes"


def test_call_sites_tell_events_of_one_environment_apart(controller: Controller, api: LocalApi) -> None:
    script = """
        for (app in ['api', 'web']) {
            for (status in ['in_progress', app == 'api' ? 'failure' : 'success']) {
                apitrafficEvent environment: 'production', callSite: app, version: app, status: status
            }
        }
    """
    run(controller, api, script)
    assert outcomes(listed(api)) == {"api": "failure", "web": "success"}
    assert keys(listed(api)) == {"api": f"{BUILD}#api:production", "web": f"{BUILD}#web:production"}


def test_what_was_deployed_before_the_controller_restarted_keeps_its_event(
    controller: Controller, api: LocalApi
) -> None:
    """Jenkins keeps the variables that a pipeline sets with the build, and nothing of the library."""
    script = "withApitrafficDeployment(environment: 'production', version: env.V) { error 'broken' }"
    before = run(controller, api, f"catchError {{ {script} }}\nrecord([known: env.APITRAFFIC_DEPLOYMENTS])")
    known = before.recorded[0]["known"]
    run(controller, api, script, environment={"APITRAFFIC_DEPLOYMENTS": known, "V": "v2"})
    assert len(listed(api)) == 2


@pytest.mark.parametrize("name", ["", "*", "nonsense  1", "\t\n"])
def test_a_variable_that_somebody_else_set_stops_nothing(
    controller: Controller, api: LocalApi, name: str
) -> None:
    script = "withApitrafficDeployment(environment: 'production') { echo 'deploying' }"
    built = run(controller, api, script, environment={"APITRAFFIC_DEPLOYMENTS": name})
    assert built.result == "SUCCESS", built.log
    assert len(listed(api)) == 1


class TestWhatRanBefore:
    """tests/vectors/previous.json has the rules."""

    DEPLOY: Final = "withApitrafficDeployment(inputs) { error 'broken' }"
    BACK: Final = {"environment": "production", "version": "v1"}

    def event(self, controller: Controller, api: LocalApi, **inputs: Any) -> dict[str, Any]:
        deploy_twice(api, job="shop/deploy-checkout")
        git = {"GIT_URL": "https://gitlab.com/acme/shop.git", "GIT_COMMIT": "1" * 40}
        run(controller, api, self.DEPLOY, environment=git, inputs=self.BACK | inputs)
        assert len(listed(api)) == 3
        return listed(api)[0]

    def test_a_rollback_says_so_to_its_end(self, controller: Controller, api: LocalApi) -> None:
        event = self.event(controller, api, description="Ticket 7")
        link = f"https://gitlab.com/acme/shop/-/compare/{'2' * 40}...{'1' * 40}"
        assert event["name"] == "Failed rollback of acme/shop to v1 in production"
        first, *others = event["description"].splitlines()
        assert first.startswith("Failed after ")
        assert others == ["Ticket 7", f"Rollback to v1 from v2, deployed 2 h earlier. {link}"]
        assert event["metadata"]["previous_version"] == "v2"
        assert event["metadata"]["course"] == "rollback"

    def test_a_name_that_was_given_stays(self, controller: Controller, api: LocalApi) -> None:
        event = self.event(controller, api, name="Deploy acme/shop v1 to production")
        assert event["name"] == "Deploy acme/shop v1 to production"
        assert event["metadata"]["course"] == "rollback"

    def test_it_can_be_switched_off(self, controller: Controller, api: LocalApi) -> None:
        event = self.event(controller, api, previous=False)
        assert event["name"] == "Failed deploy acme/shop v1 to production"
        assert "previous_version" not in event["metadata"]

    def test_a_list_that_is_refused_stops_nothing(self, controller: Controller, api: LocalApi) -> None:
        api.set_faults(["GET:status=403"])
        script = "record apitrafficEvent(environment: 'production', version: 'v1')"
        assert run(controller, api, script).recorded[0]["status"] == "created"
        api.set_faults([])
        assert listed(api)[0]["name"].startswith("Deploy ")

    def test_an_event_that_a_webhook_has_made_keeps_its_description(
        self, controller: Controller, api: LocalApi
    ) -> None:
        deploy_twice(api, job="shop/deploy-checkout")
        metadata = {"marker_key": "mine", "previous_deployed_at": "2026-01-10T10:00:00.000Z", "course": "x"}
        description = "Kept.\nBefore: v0, deployed 1 h earlier."
        theirs = {"type": "deployment", "name": "By a webhook", "description": description}
        api.call("POST", "/events", json=theirs | {"metadata": metadata})
        known = "environment: 'production', version: 'v3', markerKey: 'mine', type: 'deployment'"
        git = {"GIT_URL": "https://gitlab.com/acme/shop.git", "GIT_COMMIT": "3" * 40}
        run(controller, api, f"apitrafficEvent({known}, status: 'in_progress')", environment=git)
        (event,) = [each for each in listed(api) if each["metadata"].get("marker_key") == "mine"]
        assert event["description"].startswith("Kept.\nBefore: v2, deployed 2 h earlier. https://gitlab.com/")
        assert event["metadata"]["previous_version"] == "v2"
        assert "course" not in event["metadata"]


class TestKeys:
    @pytest.mark.parametrize("length", [250, 900, 3_000, 20_000])
    def test_names_that_differ_only_at_their_end_are_two(
        self, controller: Controller, api: LocalApi, length: int
    ) -> None:
        script = """
            for (last in ['Aa', 'BB', 'Aa']) {
                record apitrafficEvent(type: 'custom', name: inputs.name + last)
            }
        """
        built = run(controller, api, script, inputs={"name": "x" * length})
        assert [step["status"] for step in built.recorded] == ["created", "created", "updated"], built.log
        assert len(listed(api)) == 2
        assert all(len(step["markerKey"]) <= 1_000 for step in built.recorded)

    @pytest.mark.parametrize("length", [250, 1_900])
    def test_environments_that_differ_only_at_their_end_are_two(
        self, controller: Controller, api: LocalApi, length: int
    ) -> None:
        script = """
            for (last in ['a', 'b']) {
                withApitrafficDeployment(environment: inputs.name + last) { echo 'deploying' }
            }
        """
        run(controller, api, script, inputs={"name": "x" * length})
        assert len({event["metadata"]["marker_key"] for event in listed(api)}) == 2

    @pytest.mark.parametrize("length", [1_000, 3_000, 20_000])
    def test_a_long_name_costs_no_more_than_a_short_one(
        self, controller: Controller, api: LocalApi, length: int
    ) -> None:
        """Each call takes time of the controller; SHA-256 made thousands of them."""
        script = "apitrafficEvent(type: 'custom', name: inputs.name, dryRun: true)"
        short, long = (
            run(controller, api, script, inputs={"name": "x" * size}).calls for size in (10, length)
        )
        assert 0 < long - short < 100

    def test_a_key_that_the_receiver_shortens_is_returned_as_the_receiver_has_it(
        self, controller: Controller, tmp_path: Path
    ) -> None:
        with running_stack(tmp_path) as stack:
            stack.environment["EVENTS_WEBHOOK_SECRET"] = RECEIVER_SECRET
            stack.receiver.start()
            built = controller.build(
                "record apitrafficEvent(type: 'custom', name: inputs.name)",
                inputs={"name": "ü" * 900},
                environment={"APITRAFFIC_RECEIVER_URL": stack.url, "BUILD_URL": URL},
                credentials={"apitraffic-receiver-secret": RECEIVER_SECRET},
            )
        assert built.recorded[0]["markerKey"] == marker_key(f"{BUILD}:event:custom/{'ü' * 900}")


def webhook(url: str, phase: str, result: str | None, ended_at: float) -> dict[str, Any]:
    """Of the build at this address, which took a minute."""
    body: dict[str, Any] = json.loads(body_of("jenkins", "completed__success"))
    moment = ended_at - 60 if phase == "STARTED" else ended_at
    body["build"] |= {"full_url": url, "phase": phase, "timestamp": int(moment * 1000), "duration": 60_000}
    if result:
        body["build"]["status"] = result
    else:
        del body["build"]["status"]
    return body


@pytest.fixture(scope="module", params=["point", "span"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All parts run; deployments that webhooks report are of this form."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        configuration = Path(running.environment["APITRAFFIC_CONFIG"])
        configuration.write_text(configuration.read_text() + f'deployments = "{request.param}"\n')
        running.environment |= {
            "EVENTS_WEBHOOK_SECRET": RECEIVER_SECRET,
            "JENKINS_WEBHOOK_TOKEN": JENKINS_TOKEN,
        }
        running.receiver.start()
        running.worker.start()
        yield running


@pytest.mark.parametrize("way", ["receiver", "direct"])
@pytest.mark.parametrize("result", ["SUCCESS", "FAILURE"])
@pytest.mark.parametrize("is_webhook_first", [True, False])
def test_the_webhooks_of_a_build_cover_no_outcome_of_its_deployments(
    controller: Controller, stack: Stack, is_webhook_first: bool, result: str, way: str
) -> None:
    """Through all real parts: first by webhook means the start, and the end too if the library is late."""
    url = f"{URL.removesuffix('42/')}{next(WEBHOOK_BUILDS)}/"
    ended_at = time.time() + 30

    def send(phase: str, status: str | None = None) -> None:
        answer = requests.post(
            f"{stack.url}/webhooks/jenkins/{JENKINS_TOKEN}",
            json=webhook(url, phase, status, ended_at),
            timeout=10,
        )
        assert answer.ok, answer.text
        wait_until(stack.is_idle, "delivered")

    send("STARTED")
    if is_webhook_first and way == "receiver":
        send("COMPLETED", result)
    built = controller.build(FAILED_THEN_ROLLED_BACK, **ways(way, url, stack.url, stack.api))
    assert "WARNING" not in built.log, built.log
    wait_until(stack.is_idle, "delivered")
    send("COMPLETED", result)
    send("FINALIZED", result)
    key = f"jenkins:{url.rstrip('/')}"
    events = [event for event in stack.events() if event["metadata"]["marker_key"].startswith(key)]
    assert outcomes(events) == {"v2": "failure", "v1": "success"}, built.log
    joined = [event["metadata"]["version"] for event in events if event["metadata"].get("release") == "2.3.1"]
    assert joined == ["v2"]


def ways(way: str, url: str, receiver_url: str, api: LocalApi) -> Mapping[str, Any]:
    """Arguments of a build at `url` that sends so."""
    if way == "receiver":
        return {
            "environment": {"APITRAFFIC_RECEIVER_URL": receiver_url, "BUILD_URL": url},
            "credentials": {"apitraffic-receiver-secret": RECEIVER_SECRET},
        }
    return {
        "environment": {
            "APITRAFFIC_ACCOUNT_SID": api.account_sid,
            "APITRAFFIC_API_URL": api.url,
            "BUILD_URL": url,
        },
        "credentials": {"apitraffic-api-token": api.token},
    }
