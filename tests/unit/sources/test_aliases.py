"""What a CI plugin calls a deploy, and a webhook too: the recipe of the keys that both make."""

from datetime import UTC, datetime

import pytest

from apitraffic_events.event import EventType
from receiver.config.ci import detect
from receiver.sources.base import translate
from receiver.sources.github import GITHUB
from receiver.sources.gitlab import GITLAB
from receiver.sources.jenkins import JENKINS
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
