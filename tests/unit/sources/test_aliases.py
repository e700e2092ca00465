"""What a CI plugin calls a deploy, and a webhook too: the recipe of the keys that both make."""

import json
from datetime import UTC, datetime

import pytest

from apitraffic_events.event import EventType
from receiver.config.ci.detection import detect
from receiver.sources.github import GITHUB
from receiver.sources.gitlab import GITLAB
from receiver.sources.jenkins import JENKINS
from receiver.sources.native import NATIVE
from receiver.sources.source import translate
from tests.support import jenkins
from tests.support.source_fixtures import body_of

RECEIVED_AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def github_claims(case: str) -> tuple[str, ...]:
    headers = {"x-github-event": "deployment_status", "x-github-delivery": "guid"}
    delivery = GITHUB.receive(headers, body_of("github", f"deployment_status__{case}"), RECEIVED_AT)
    (change,) = translate(GITHUB, delivery, GITHUB.options(deployments="point")).changes
    assert change.aliases == ()
    return change.claims


def test_github_names_the_job_and_the_run_with_its_attempt() -> None:
    assert github_claims("production_success") == (
        "github:job:5:production",
        "github:run:77:1:production",
        "github:acme/shop:run:77:1:production",
    )


def test_github_names_an_environment_in_lower_case_except_as_older_plugins_do() -> None:
    assert github_claims("environment_in_capitals") == (
        "github:job:5:staging",
        "github:run:77:1:staging",
        "github:acme/shop:run:77:1:Staging",
    )


def test_a_job_of_an_enterprise_server_is_named_with_its_host() -> None:
    assert github_claims("enterprise_server")[:2] == (
        "github:ghes.example.test:job:5:production",
        "github:ghes.example.test:run:77:1:production",
    )


def test_an_environment_that_the_status_renames_counts() -> None:
    for claim in github_claims("renamed_environment"):
        assert not claim.endswith(":production")


@pytest.mark.parametrize("case", ["missing_workflow_run", "null_workflow_run"])
def test_without_a_run_only_the_job_is_named(case: str) -> None:
    assert not [claim for claim in github_claims(case) if ":run:" in claim]


def test_without_an_environment_there_is_no_name_for_plugins() -> None:
    assert github_claims("no_environment") == ()


def test_gitlab_names_the_job_on_its_instance() -> None:
    delivery = GITLAB.receive(
        {"x-gitlab-event": "Deployment Hook", "x-gitlab-instance": "https://gitlab.example.test"},
        b'{"object_kind": "deployment", "status": "success", "deployment_id": 15, "deployable_id": 796, '
        b'"environment": "production", "project": {"path_with_namespace": "acme/shop"}}',
        RECEIVED_AT,
    )
    (change,) = translate(GITLAB, delivery, GITLAB.options(deployments="point")).changes
    assert change.key == "gitlab:gitlab.example.test:deployment:15"
    assert change.aliases == ("gitlab:gitlab.example.test:job:796",)


@pytest.mark.parametrize(
    ("environ", "alias"),
    [
        (
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_REPOSITORY": "acme/shop",
                "GITHUB_RUN_ID": "77",
                "GITHUB_RUN_ATTEMPT": "1",
            },
            "github:run:77:1:production",
        ),
        (
            {"GITLAB_CI": "true", "CI_SERVER_HOST": "gitlab.example.test", "CI_JOB_ID": "796"},
            "gitlab:gitlab.example.test:job:796",
        ),
    ],
)
def test_a_job_calls_its_own_deploy_the_same(environ: dict[str, str], alias: str) -> None:
    job = detect(environ)
    assert job is not None
    assert job.marker_key(EventType.DEPLOYMENT, "production") == (alias, True)


RUNNER = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://ghes.example.test",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "deploy",
    "RUNNER_TEMP": "/work/_temp",
}
HOST_RUN = "github:ghes.example.test:run:77:1:production"


def own_key(environ: dict[str, str], environment: str) -> str:
    job = detect(environ)
    assert job is not None
    key, _ = job.marker_key(EventType.DEPLOYMENT, environment)
    return key


def test_a_github_job_that_knows_its_id_is_claimed_by_its_deployment() -> None:
    key = own_key(RUNNER | {"JOB_CHECK_RUN_ID": "5"}, "Production")
    assert key == github_claims("enterprise_server")[0]


def test_jobs_of_a_run_that_know_no_id_have_names_of_their_own() -> None:
    tracked = (RUNNER | {"RUNNER_TRACKING_ID": f"github_{number}"} for number in range(3))
    keys = {own_key(environ, "production") for environ in (RUNNER, RUNNER | {"GITHUB_JOB": "web"}, *tracked)}
    assert len(keys) == 5
    assert all(key.startswith(f"{HOST_RUN}:job:") for key in keys)
    assert own_key(RUNNER, "production") == own_key(RUNNER, "PRODUCTION")


def native_claims(key: str) -> tuple[str, ...]:
    body = json.dumps({"type": "deployment", "name": "Deploy", "key": key}).encode()
    delivery = NATIVE.receive({"content-type": "application/json"}, body, RECEIVED_AT)
    (change,) = translate(NATIVE, delivery, NATIVE.options()).changes
    assert change.key == key
    return change.claims


@pytest.mark.parametrize("run", ["github:run:77:1:production", HOST_RUN, "github:run:77:1:prod: job:eu"])
def test_a_plugin_that_knows_only_its_run_claims_it_as_deployments_do(run: str) -> None:
    assert native_claims(f"{run}:job:0123456789abcdef") == (run,)


@pytest.mark.parametrize(
    "key",
    [
        "github:run:77:1:production",
        "github:run:77:1:production:job:0123456789abcdef:2",
        "github:run:77:1:event:3f0f7a0e-0000-4000-8000-000000000000",
        "github:job:5:production",
        "mine:job:0123456789abcdef",
        "gitlab:gitlab.example.test:job:796",
    ],
)
def test_no_other_key_claims_anything(key: str) -> None:
    assert native_claims(key) == ()


def test_what_the_plugin_claims_is_what_the_webhook_claims() -> None:
    (claim,) = native_claims(own_key(RUNNER, "Production"))
    assert claim in github_claims("enterprise_server")


def jenkins_names(case: str) -> tuple[str, ...]:
    (change,) = translate(JENKINS, jenkins.received(case), JENKINS.options(deployments="point")).changes
    return change.names


@pytest.mark.parametrize("case", ["completed__success", "job.completed__success"])
def test_jenkins_names_the_build_and_the_environment(case: str) -> None:
    key, alias = jenkins_names(case)
    assert key.startswith("jenkins:https://jenkins.example.test/job/")
    assert alias == f"{key}:production"


def test_a_jenkins_build_without_a_root_url_is_named_by_its_job() -> None:
    key, alias = jenkins_names("completed__no_root_url")
    assert "#" in key
    assert alias.startswith(f"{key}:")


def test_a_jenkins_build_that_names_no_environment_has_no_alias() -> None:
    assert len(jenkins_names("failure__freestyle")) == 1
