"""Which CI system this process runs in."""

from collections.abc import Callable
from typing import Final

from receiver.config.ci.facts import Environ
from receiver.config.ci.github import github_job
from receiver.config.ci.gitlab import gitlab_job
from receiver.config.ci.jenkins import jenkins_job
from receiver.config.ci.job import CiJob
from receiver.config.ci.without_webhooks import azure_job, bitbucket_job, buildkite_job, circleci_job

SYSTEMS: Final[tuple[tuple[Callable[[Environ], bool], Callable[[Environ], CiJob]], ...]] = (
    (lambda env: env.get("GITHUB_ACTIONS") == "true", github_job),
    (lambda env: env.get("GITLAB_CI") == "true", gitlab_job),
    (lambda env: env.get("CIRCLECI") == "true", circleci_job),
    (lambda env: env.get("BUILDKITE") == "true", buildkite_job),
    (lambda env: env.get("TF_BUILD", "").lower() == "true", azure_job),
    (lambda env: bool(env.get("BITBUCKET_BUILD_NUMBER")), bitbucket_job),
    (lambda env: bool(env.get("BUILD_URL") and env.get("JENKINS_URL")), jenkins_job),
)
"""Each is recognised by a variable that it documents as always set. Jenkins is last: its names are common."""


def detect(environ: Environ) -> CiJob | None:
    """The job that this environment belongs to; `None` if it is not one of a known CI system."""
    return next((read(environ) for is_here, read in SYSTEMS if is_here(environ)), None)


def known_systems() -> str:
    """For messages."""
    return "GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite, Azure Pipelines and Bitbucket Pipelines"
