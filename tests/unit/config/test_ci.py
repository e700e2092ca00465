"""What each CI system's documented variables become: names, metadata and keys of docs/ci-plugins.md."""

import json
from pathlib import Path

import pytest

from apitraffic_events.event import EventType
from receiver.config.ci.detection import detect
from receiver.config.ci.job import CiJob

SHA = "0123abcdef0123abcdef0123abcdef0123abcdef"
TEXT = "Faster checkout\n\nLonger words"

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "27496031417",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_RUN_NUMBER": "118",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": SHA,
    "GITHUB_ACTOR": "bot",
    "GITHUB_TRIGGERING_ACTOR": "alice",
    "GITHUB_WORKFLOW": "Deploy",
    "GITHUB_JOB": "ship",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_SERVER_HOST": "gitlab.example.com",
    "CI_PROJECT_PATH": "acme/shop",
    "CI_PROJECT_URL": "https://gitlab.example.com/acme/shop",
    "CI_JOB_ID": "379",
    "CI_JOB_URL": "https://gitlab.example.com/acme/shop/-/jobs/379",
    "CI_JOB_NAME": "ship",
    "CI_PIPELINE_ID": "31",
    "CI_PIPELINE_IID": "7",
    "CI_PIPELINE_URL": "https://gitlab.example.com/acme/shop/-/pipelines/31",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": SHA,
    "CI_COMMIT_MESSAGE": TEXT,
    "CI_ENVIRONMENT_NAME": "production",
    "GITLAB_USER_LOGIN": "alice",
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.com/",
    "BUILD_URL": "https://ci.example.com/job/shop/job/main/12/",
    "BUILD_NUMBER": "12",
    "JOB_NAME": "shop/main",
    "BRANCH_NAME": "main",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": SHA,
    "GIT_URL": "https://deploy:hunter22@git.example.com/acme/shop.git",
}
CIRCLECI = {
    "CIRCLECI": "true",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/118",
    "CIRCLE_BUILD_NUM": "118",
    "CIRCLE_WORKFLOW_ID": "9e08ef3c",
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_REPOSITORY_URL": "git@github.com:acme/shop.git",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_SHA1": SHA,
    "CIRCLE_USERNAME": "alice",
    "CIRCLE_JOB": "ship",
    "CIRCLE_PULL_REQUEST": "https://github.com/acme/shop/pull/17",
}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_BUILD_ID": "9e08ef3c",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/acme/shop/builds/118",
    "BUILDKITE_BUILD_NUMBER": "118",
    "BUILDKITE_JOB_ID": "e44f9784",
    "BUILDKITE_REPO": "https://token22@github.com/acme/shop.git",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_COMMIT": SHA,
    "BUILDKITE_MESSAGE": TEXT,
    "BUILDKITE_BUILD_CREATOR": "alice",
    "BUILDKITE_PIPELINE_SLUG": "shop",
    "BUILDKITE_LABEL": "ship",
    "BUILDKITE_PULL_REQUEST": "false",
}
AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "Web shop",
    "SYSTEM_STAGEATTEMPT": "1",
    "SYSTEM_JOBATTEMPT": "2",
    "SYSTEM_JOBDISPLAYNAME": "ship",
    "BUILD_BUILDID": "118",
    "BUILD_BUILDNUMBER": "20261124.1",
    "BUILD_DEFINITIONNAME": "Deploy",
    "BUILD_REPOSITORY_NAME": "acme/shop",
    "BUILD_REPOSITORY_URI": "https://acme@dev.azure.com/acme/shop/_git/shop",
    "BUILD_SOURCEBRANCH": "refs/heads/main",
    "BUILD_SOURCEVERSION": SHA,
    "BUILD_SOURCEVERSIONMESSAGE": TEXT,
    "BUILD_REQUESTEDFOR": "alice",
    "ENVIRONMENT_NAME": "production",
}
BITBUCKET = {
    "BITBUCKET_BUILD_NUMBER": "118",
    "BITBUCKET_PIPELINE_UUID": "{9e08ef3c}",
    "BITBUCKET_STEP_RUN_NUMBER": "2",
    "BITBUCKET_REPO_FULL_NAME": "acme/shop",
    "BITBUCKET_BRANCH": "main",
    "BITBUCKET_COMMIT": SHA,
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production",
    "BITBUCKET_STEP_TRIGGERER_UUID": "{0f0f0f0f}",
}
ALL = {
    "github_actions": GITHUB,
    "gitlab_ci": GITLAB,
    "jenkins": JENKINS,
    "circleci": CIRCLECI,
    "buildkite": BUILDKITE,
    "azure_pipelines": AZURE,
    "bitbucket_pipelines": BITBUCKET,
}
"""The source of each one's events -> its environment."""
RUN_URLS = {
    "github_actions": "https://github.com/acme/shop/actions/runs/27496031417",
    "gitlab_ci": "https://gitlab.example.com/acme/shop/-/pipelines/31",
    "jenkins": "https://ci.example.com/job/shop/job/main/12",
    "circleci": "https://circleci.com/gh/acme/shop/118",
    "buildkite": "https://buildkite.com/acme/shop/builds/118",
    "azure_pipelines": "https://dev.azure.com/acme/Web%20shop/_build/results?buildId=118",
    "bitbucket_pipelines": "https://bitbucket.org/acme/shop/pipelines/results/118",
}
KEYS = {
    "github_actions": "github:run:27496031417:2:production",
    "gitlab_ci": "gitlab:gitlab.example.com:job:379",
    "jenkins": "jenkins:https://ci.example.com/job/shop/job/main/12:production",
    "circleci": "circleci:https://circleci.com/gh/acme/shop/118:production",
    "buildkite": "buildkite:https://buildkite.com/acme/shop/builds/118#e44f9784:production",
    "azure_pipelines": f"azure:{RUN_URLS['azure_pipelines']}:1.2:production",
    "bitbucket_pipelines": f"bitbucket:{RUN_URLS['bitbucket_pipelines']}:2:production",
}


def job(environ: dict[str, str], **more: str) -> CiJob:
    found = detect(environ | more)
    assert found is not None
    return found


@pytest.mark.parametrize("source", ALL)
class TestEverySystem:
    def test_is_recognised(self, source: str) -> None:
        assert job(ALL[source]).source == source

    def test_says_the_same_of_a_job(self, source: str) -> None:
        metadata = job(ALL[source]).metadata
        assert metadata["repository"] == "acme/shop"
        assert metadata["ref"] == "main"
        assert metadata["commit"] == SHA
        assert metadata["short_commit"] == SHA[:7]
        assert metadata["run_url"] == RUN_URLS[source]
        assert metadata.get("commit_message") in {None, "Faster checkout"}
        assert metadata.get("actor") in {None, "alice"}
        assert "" not in metadata.values()

    def test_no_credential_of_a_clone_url_is_kept(self, source: str) -> None:
        kept = json.dumps(dict(job(ALL[source]).metadata))
        assert "hunter22" not in kept
        assert "token22" not in kept

    def test_the_key_of_a_deployment_is_known_to_others(self, source: str) -> None:
        assert job(ALL[source]).marker_key(EventType.DEPLOYMENT, "production") == (KEYS[source], True)

    def test_the_key_of_anything_else_is_new(self, source: str) -> None:
        keys = [job(ALL[source]).marker_key(EventType.CONFIG_CHANGE, "production") for _ in range(2)]
        assert keys[0] != keys[1]
        assert all(":event:" in key and not may_exist for key, may_exist in keys)

    def test_a_branch_and_a_tag_are_told_apart(self, source: str) -> None:
        tags = {
            "github_actions": {"GITHUB_REF": "refs/tags/nightly"},
            "gitlab_ci": {"CI_COMMIT_TAG": "nightly", "CI_COMMIT_BRANCH": ""},
            "jenkins": {"TAG_NAME": "nightly"},
            "circleci": {"CIRCLE_TAG": "nightly"},
            "buildkite": {"BUILDKITE_TAG": "nightly"},
            "azure_pipelines": {"BUILD_SOURCEBRANCH": "refs/tags/nightly"},
            "bitbucket_pipelines": {"BITBUCKET_TAG": "nightly"},
        }
        assert job(ALL[source]).version() == f"main@{SHA[:7]}"
        assert job(ALL[source], **tags[source]).version() == "nightly"
        assert job(ALL[source], **tags[source]).metadata["ref"] == "nightly"

    def test_a_job_that_says_nothing_of_itself_is_no_failure(self, source: str) -> None:
        marks = {"JENKINS_URL", "BUILD_URL", "BITBUCKET_BUILD_NUMBER"}
        bare = {
            name: value for name, value in ALL[source].items() if value.lower() == "true" or name in marks
        }
        assert job(bare).source == source


def test_a_github_job_may_be_given_its_id() -> None:
    found = job(GITHUB, JOB_CHECK_RUN_ID="51725241954", GITHUB_SERVER_URL="https://GHES.example.test")
    assert found.marker_key(EventType.DEPLOYMENT, "Production") == (
        "github:ghes.example.test:job:51725241954:production",
        True,
    )
    assert found.metadata["check_run_id"] == "51725241954"
    assert "check_run_id" not in job(GITHUB, JOB_CHECK_RUN_ID="${{ job.check_run_id }}").metadata


def test_no_ci_system_is_none() -> None:
    assert detect({}) is None
    assert detect({"CI": "true", "BUILD_URL": "https://example.com"}) is None


def test_environments_that_the_system_knows() -> None:
    known = {source for source in ALL if job(ALL[source]).environment == "production"}
    assert known == {"gitlab_ci", "azure_pipelines", "bitbucket_pipelines"}


def test_a_jenkins_deployment_without_environment_has_the_key_of_the_build() -> None:
    assert job(JENKINS).marker_key(EventType.DEPLOYMENT, "") == (f"jenkins:{RUN_URLS['jenkins']}", True)
    assert job(JENKINS | {"GIT_COMMIT": "", "BRANCH_NAME": "", "GIT_BRANCH": ""}).version() == "#12"


def test_elsewhere_it_has_a_new_one() -> None:
    for source in ("github_actions", "circleci", "buildkite"):
        key, may_exist = job(ALL[source]).marker_key(EventType.DEPLOYMENT, "")
        assert ":event:" in key
        assert not may_exist


@pytest.mark.parametrize(
    ("environ", "more", "number"),
    [
        (GITHUB, {"GITHUB_REF": "refs/pull/17/merge", "GITHUB_HEAD_REF": "cart"}, "17"),
        (GITLAB, {"CI_MERGE_REQUEST_IID": "17", "CI_COMMIT_BRANCH": "", "CI_COMMIT_REF_NAME": "cart"}, "17"),
        (JENKINS, {"CHANGE_ID": "17", "BRANCH_NAME": "PR-17", "CHANGE_BRANCH": "cart"}, "17"),
        (CIRCLECI, {"CIRCLE_BRANCH": "cart"}, "17"),
        (BUILDKITE, {"BUILDKITE_PULL_REQUEST": "17", "BUILDKITE_BRANCH": "cart"}, "17"),
        (
            AZURE,
            {
                "BUILD_SOURCEBRANCH": "refs/pull/17/merge",
                "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/cart",
                "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "17",
            },
            "17",
        ),
        (BITBUCKET, {"BITBUCKET_PR_ID": "17", "BITBUCKET_BRANCH": "cart"}, "17"),
    ],
)
def test_pull_requests(environ: dict[str, str], more: dict[str, str], number: str) -> None:
    found = job(environ, **more)
    assert found.metadata["pull_request"] == number
    assert found.version() == f"cart@{SHA[:7]}"


def test_a_buildkite_commit_that_is_only_head_is_left_out() -> None:
    assert "commit" not in job(BUILDKITE, BUILDKITE_COMMIT="HEAD").metadata


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"head_commit": null}', '{"head_commit": {"message": 1}}']
)
def test_a_github_event_without_a_message_is_no_failure(tmp_path: Path, content: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(content)
    assert "commit_message" not in job(GITHUB, GITHUB_EVENT_PATH=str(path)).metadata
    assert "commit_message" not in job(GITHUB, GITHUB_EVENT_PATH="/nowhere").metadata


def test_a_github_push_has_its_message_in_the_event(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"head_commit": {"message": TEXT}}))
    assert job(GITHUB, GITHUB_EVENT_PATH=str(path)).metadata["commit_message"] == "Faster checkout"
