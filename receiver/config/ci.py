"""The CI job that this process runs in, from the variables that the CI system documents.

Names, metadata and marker keys are those of docs/ci-plugins.md, so that a job's script, a plugin and a
webhook make one marker and not several.
"""

import hashlib
import json
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from apitraffic_events.event import EventType
from receiver.events import marker_key
from receiver.git_names import REMOTE, REPOSITORY, without_credentials
from receiver.wording import describe_version

LARGEST_EVENT_FILE: Final = 5 * 1024 * 1024
"""Characters read of GitHub's event file, which has the commit's message."""
PULL_REQUEST_REF: Final = re.compile(r"refs/pull/(\d+)/.*")
PUBLIC_GITHUB: Final = "github.com"
ANY_KEY: Final = re.compile(r".*")
DEPLOYMENT_KEY: Final = re.compile(r".*:deployment:.*")
GITHUB_ID: Final = re.compile(r"[0-9]{1,20}")
GITHUB_JOB_FACTS: Final = (
    *("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"),
    *("RUNNER_NAME", "RUNNER_TRACKING_ID", "RUNNER_TEMP"),
)
"""The job, its process on the runner and its machine: together they are different for any two jobs."""
LAST_NUMBER: Final = re.compile(r".*/(\d+)")

Environ = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CiJob:
    """What a CI system says about a job.

    The keys of its markers start with `key`; `metadata` has no empty values. `ref` describes a version, as
    `refs/heads/…` or `refs/tags/…` if the system distinguishes branches and tags. `identity` names the
    metadata that the events of this job have in common with those that webhooks make of its deployments.
    `their_key` is what the whole key of such an event must match.
    """

    system: str
    source: str
    key: str
    metadata: Mapping[str, str]
    ref: str = ""
    environment: str = ""
    identity: tuple[str, ...] = ()
    their_key: re.Pattern[str] = ANY_KEY
    is_identity_shared: bool = False
    environment_in_key: Literal["always", "where known", "never"] = "always"
    """Whether a deployment's key names its environment.

    Without a known environment the key is random, except for "where known".
    """
    deployment_key: tuple[str, str] | None = None
    """What a deployment's key has before and after its environment, if that is not `key` and nothing.

    Such a key has the environment in lower case.
    """

    def version(self) -> str:
        """What is deployed: a tag, else `branch@0123abc`, else the commit, else `#<build number>`."""
        described = describe_version(self.ref, self.metadata.get("commit"))
        number = self.metadata.get("run_number")
        return described or (f"#{number}" if number else "")

    def marker_key(self, kind: EventType, environment: str) -> tuple[str, bool]:
        """The key of this job's marker, and whether others can know it and have made its event."""
        if kind is EventType.DEPLOYMENT and environment and self.deployment_key:
            start, end = self.deployment_key
            return marker_key(f"{start}:{environment.lower()}{end}"), True
        if kind is EventType.DEPLOYMENT and environment:
            in_key = "" if self.environment_in_key == "never" else f":{environment}"
            return marker_key(self.key + in_key), True
        if kind is EventType.DEPLOYMENT and self.environment_in_key == "where known":
            return marker_key(self.key), True
        return marker_key(f"{self.key}:event:{secrets.token_hex(8)}"), False


def detect(environ: Environ) -> CiJob | None:
    """The job that this environment belongs to; `None` if it is not one of a known CI system."""
    return next((read(environ) for is_here, read in SYSTEMS if is_here(environ)), None)


def known_systems() -> str:
    return "GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite, Azure Pipelines and Bitbucket Pipelines"


def _github(env: Environ) -> CiJob:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/variables

    No variable has the job's id. A workflow passes it on as `JOB_CHECK_RUN_ID: ${{ job.check_run_id }}`.
    """
    repository, run_id = env.get("GITHUB_REPOSITORY", ""), env.get("GITHUB_RUN_ID", "")
    attempt = env.get("GITHUB_RUN_ATTEMPT") or "1"
    address = f"{env.get('GITHUB_SERVER_URL') or 'https://github.com'}/{repository}"
    ref = env.get("GITHUB_REF", "")
    pull_request = PULL_REQUEST_REF.fullmatch(ref)
    if pull_request and env.get("GITHUB_HEAD_REF"):
        ref = f"refs/heads/{env['GITHUB_HEAD_REF']}"
    host = github_host(env.get("GITHUB_SERVER_URL", ""))
    github = f"github:{host}" if host else "github"
    given_id = env.get("JOB_CHECK_RUN_ID", "")
    job_id = given_id if GITHUB_ID.fullmatch(given_id) else ""
    run = f"{github}:run:{run_id}:{attempt}"
    instance = github_job_instance(env, socket.gethostname())
    return CiJob(
        system="GitHub Actions",
        source="github_actions",
        key=run,
        ref=ref,
        identity=(("check_run_id",) if job_id else ("run_id", "run_attempt")) + ("environment",),
        their_key=DEPLOYMENT_KEY,
        is_identity_shared=not job_id,
        deployment_key=(f"{github}:job:{job_id}", "") if job_id else (run, instance and f":job:{instance}"),
        metadata=_facts(
            repository=repository,
            repository_url=address,
            ref=_short(ref),
            commit=env.get("GITHUB_SHA"),
            commit_message=_message_in(env.get("GITHUB_EVENT_PATH")),
            actor=env.get("GITHUB_TRIGGERING_ACTOR") or env.get("GITHUB_ACTOR"),
            workflow=env.get("GITHUB_WORKFLOW"),
            job=env.get("GITHUB_JOB"),
            check_run_id=job_id,
            run_id=run_id,
            run_attempt=attempt,
            run_number=env.get("GITHUB_RUN_NUMBER"),
            run_url=f"{address}/actions/runs/{run_id}",
            pull_request=pull_request[1] if pull_request else None,
        ),
    )


def github_host(url: str) -> str:
    """The host that GitHub's keys name: in lower case, and empty for github.com."""
    with suppress(ValueError):
        host = urlsplit(url).netloc.rpartition("@")[2].lower()
        return "" if host == PUBLIC_GITHUB else host
    return ""


def github_job_instance(env: Environ, host: str) -> str:
    """Tells a job from the others of its run if its id is not known: 16 hexadecimal digits.

    The same in all steps of the job. Empty outside of a runner. actions/lib/job.mjs computes the same.
    """
    if not env.get("RUNNER_TEMP"):
        return ""
    facts = "\n".join([*(env.get(name, "") for name in GITHUB_JOB_FACTS), host])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _gitlab_host(env: Environ) -> str:
    """With the port, unless it is the usual one, as webhooks have it. GitLab before 16.10 has no FQDN."""
    host, port = env.get("CI_SERVER_HOST", ""), env.get("CI_SERVER_PORT", "")
    return env.get("CI_SERVER_FQDN") or (f"{host}:{port}" if port not in {"", "80", "443"} else host)


def _gitlab(env: Environ) -> CiJob:
    """https://docs.gitlab.com/ci/variables/predefined_variables/"""
    tag, job_id = env.get("CI_COMMIT_TAG", ""), env.get("CI_JOB_ID", "")
    branch = env.get("CI_COMMIT_BRANCH") or env.get("CI_COMMIT_REF_NAME", "")
    return CiJob(
        system="GitLab",
        source="gitlab_ci",
        key=f"gitlab:{_gitlab_host(env)}:job:{job_id}",
        ref=_ref(tag, branch),
        environment=env.get("CI_ENVIRONMENT_NAME", ""),
        identity=("repository", "job_id", "environment"),
        environment_in_key="never",
        metadata=_facts(
            repository=env.get("CI_PROJECT_PATH"),
            repository_url=env.get("CI_PROJECT_URL"),
            ref=tag or branch,
            commit=env.get("CI_COMMIT_SHA"),
            commit_message=env.get("CI_COMMIT_MESSAGE") or env.get("CI_COMMIT_TITLE"),
            actor=env.get("GITLAB_USER_LOGIN"),
            url=env.get("CI_JOB_URL"),
            workflow=env.get("CI_PIPELINE_NAME"),
            job=env.get("CI_JOB_NAME"),
            job_id=job_id,
            run_id=env.get("CI_PIPELINE_ID"),
            run_number=env.get("CI_PIPELINE_IID"),
            run_url=env.get("CI_PIPELINE_URL"),
            pull_request=env.get("CI_MERGE_REQUEST_IID"),
        ),
    )


def _jenkins(env: Environ) -> CiJob:
    """https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables

    The Git plugin sets the variables about Git, multibranch projects those about branches and changes.
    """
    tag = env.get("TAG_NAME", "")
    branch = env.get("BRANCH_NAME") or REMOTE.sub("", env.get("GIT_BRANCH", ""))
    url = without_credentials(env.get("BUILD_URL", "")).rstrip("/")
    return CiJob(
        system="Jenkins",
        source="jenkins",
        key=f"jenkins:{url}",
        ref=_ref(tag, env.get("CHANGE_BRANCH") or branch),
        identity=("run_url", "environment"),
        their_key=re.compile(re.escape(marker_key(f"jenkins:{url}"))),
        environment_in_key="where known",
        metadata=_facts(
            **_repository(env.get("GIT_URL")),
            ref=tag or branch,
            commit=env.get("GIT_COMMIT"),
            job=env.get("JOB_NAME"),
            run_number=env.get("BUILD_NUMBER"),
            run_url=url,
            pull_request=env.get("CHANGE_ID"),
        ),
    )


def _circleci(env: Environ) -> CiJob:
    """https://circleci.com/docs/reference/variables/"""
    tag, branch = env.get("CIRCLE_TAG", ""), env.get("CIRCLE_BRANCH", "")
    url = env.get("CIRCLE_BUILD_URL", "")
    owner, name = env.get("CIRCLE_PROJECT_USERNAME", ""), env.get("CIRCLE_PROJECT_REPONAME", "")
    pull_request = LAST_NUMBER.fullmatch(env.get("CIRCLE_PULL_REQUEST", ""))
    return CiJob(
        system="CircleCI",
        source="circleci",
        key=f"circleci:{url}",
        ref=_ref(tag, branch),
        metadata=_facts(
            **_repository(env.get("CIRCLE_REPOSITORY_URL"))
            | ({"repository": f"{owner}/{name}"} if owner and name else {}),
            ref=tag or branch,
            commit=env.get("CIRCLE_SHA1"),
            actor=env.get("CIRCLE_USERNAME"),
            job=env.get("CIRCLE_JOB"),
            run_id=env.get("CIRCLE_WORKFLOW_ID"),
            run_number=env.get("CIRCLE_BUILD_NUM"),
            run_url=url,
            pull_request=env.get("CIRCLE_PR_NUMBER") or (pull_request[1] if pull_request else None),
        ),
    )


def _buildkite(env: Environ) -> CiJob:
    """https://buildkite.com/docs/pipelines/configure/environment-variables

    A retried job has an id of its own. `BUILDKITE_COMMIT` is `HEAD` until the agent has resolved it.
    """
    tag, branch = env.get("BUILDKITE_TAG", ""), env.get("BUILDKITE_BRANCH", "")
    url = env.get("BUILDKITE_BUILD_URL", "")
    job_page = f"{url}#{env.get('BUILDKITE_JOB_ID', '')}"
    commit, pull_request = env.get("BUILDKITE_COMMIT"), env.get("BUILDKITE_PULL_REQUEST")
    return CiJob(
        system="Buildkite",
        source="buildkite",
        key=f"buildkite:{job_page}",
        ref=_ref(tag, branch),
        metadata=_facts(
            **_repository(env.get("BUILDKITE_REPO")),
            ref=tag or branch,
            commit=None if commit == "HEAD" else commit,
            commit_message=env.get("BUILDKITE_MESSAGE"),
            actor=env.get("BUILDKITE_BUILD_CREATOR"),
            url=job_page,
            workflow=env.get("BUILDKITE_PIPELINE_SLUG"),
            job=env.get("BUILDKITE_LABEL"),
            run_id=env.get("BUILDKITE_BUILD_ID"),
            run_number=env.get("BUILDKITE_BUILD_NUMBER"),
            run_url=url,
            pull_request=None if pull_request == "false" else pull_request,
        ),
    )


def _azure(env: Environ) -> CiJob:
    """https://learn.microsoft.com/azure/devops/pipelines/build/variables"""
    ref = env.get("BUILD_SOURCEBRANCH", "")
    pull_request = PULL_REQUEST_REF.fullmatch(ref)
    if pull_request:
        ref = env.get("SYSTEM_PULLREQUEST_SOURCEBRANCH", "")
    run_id = env.get("BUILD_BUILDID", "")
    collection = env.get("SYSTEM_COLLECTIONURI") or env.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "")
    project = env.get("SYSTEM_TEAMPROJECT", "").replace(" ", "%20")
    url = f"{collection.rstrip('/')}/{project}/_build/results?buildId={run_id}" if collection else ""
    attempt = f"{env.get('SYSTEM_STAGEATTEMPT') or 1}.{env.get('SYSTEM_JOBATTEMPT') or 1}"
    return CiJob(
        system="Azure Pipelines",
        source="azure_pipelines",
        key=f"azure:{url or run_id}:{attempt}",
        ref=ref,
        environment=env.get("ENVIRONMENT_NAME", ""),
        metadata=_facts(
            **_repository(env.get("BUILD_REPOSITORY_URI")) | {"repository": env.get("BUILD_REPOSITORY_NAME")},
            ref=_short(ref),
            commit=env.get("BUILD_SOURCEVERSION"),
            commit_message=env.get("BUILD_SOURCEVERSIONMESSAGE"),
            actor=env.get("BUILD_REQUESTEDFOR"),
            workflow=env.get("BUILD_DEFINITIONNAME"),
            job=env.get("SYSTEM_JOBDISPLAYNAME"),
            run_id=run_id,
            run_attempt=attempt,
            run_number=env.get("BUILD_BUILDNUMBER"),
            run_url=url,
            pull_request=env.get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER")
            or env.get("SYSTEM_PULLREQUEST_PULLREQUESTID"),
        ),
    )


def _bitbucket(env: Environ) -> CiJob:
    """https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/

    The user who started it is only given as a UUID, which is left out: it means nothing on a chart.
    """
    tag, branch = env.get("BITBUCKET_TAG", ""), env.get("BITBUCKET_BRANCH", "")
    repository, number = env.get("BITBUCKET_REPO_FULL_NAME", ""), env.get("BITBUCKET_BUILD_NUMBER", "")
    address = f"https://bitbucket.org/{repository}"
    url = f"{address}/pipelines/results/{number}"
    attempt = env.get("BITBUCKET_STEP_RUN_NUMBER") or "1"
    return CiJob(
        system="Bitbucket Pipelines",
        source="bitbucket_pipelines",
        key=f"bitbucket:{url}:{attempt}",
        ref=_ref(tag, branch),
        environment=env.get("BITBUCKET_DEPLOYMENT_ENVIRONMENT", ""),
        metadata=_facts(
            repository=repository,
            repository_url=address,
            ref=tag or branch,
            commit=env.get("BITBUCKET_COMMIT"),
            run_id=env.get("BITBUCKET_PIPELINE_UUID"),
            run_attempt=attempt,
            run_number=number,
            run_url=url,
            pull_request=env.get("BITBUCKET_PR_ID"),
        ),
    )


SYSTEMS: Final[tuple[tuple[Callable[[Environ], bool], Callable[[Environ], CiJob]], ...]] = (
    (lambda env: env.get("GITHUB_ACTIONS") == "true", _github),
    (lambda env: env.get("GITLAB_CI") == "true", _gitlab),
    (lambda env: env.get("CIRCLECI") == "true", _circleci),
    (lambda env: env.get("BUILDKITE") == "true", _buildkite),
    (lambda env: env.get("TF_BUILD", "").lower() == "true", _azure),
    (lambda env: bool(env.get("BITBUCKET_BUILD_NUMBER")), _bitbucket),
    (lambda env: bool(env.get("BUILD_URL") and env.get("JENKINS_URL")), _jenkins),
)
"""Each is recognised by a variable that it documents as always set. Jenkins is last: its names are common."""


def _facts(**known: str | None) -> dict[str, str]:
    """The values that are not empty, with the commit's short form and the first line of its message."""
    commit = known.get("commit")
    known["short_commit"] = commit[:7] if commit else None
    known["commit_message"] = next(iter((known.get("commit_message") or "").strip().splitlines()), "")
    known["url"] = known.get("url") or known.get("run_url")
    return {name: value for name, value in known.items() if value}


def _ref(tag: str, branch: str) -> str:
    if tag:
        return f"refs/tags/{tag}"
    return f"refs/heads/{branch}" if branch else ""


def _short(ref: str) -> str:
    return re.sub(r"^refs/(heads|tags)/", "", ref)


def _repository(clone_url: str | None) -> dict[str, str | None]:
    """Its path, and its address if a browser can open that. A clone URL may contain a token."""
    found = REPOSITORY.fullmatch(clone_url or "")
    if not clone_url or not found:
        return {}
    is_web = clone_url.startswith("http")
    address = without_credentials(clone_url).rstrip("/").removesuffix(".git") if is_web else None
    return {"repository": found["path"], "repository_url": address}


def _message_in(event_file: str | None) -> str | None:
    """The commit's message, which GitHub only has in the event file, and only for pushes."""
    if not event_file:
        return None
    content: Any = None
    with suppress(OSError, ValueError, RecursionError), Path(event_file).open(encoding="utf-8") as file:
        content = json.loads(file.read(LARGEST_EVENT_FILE))
    commit = content.get("head_commit") if isinstance(content, dict) else None
    message = commit.get("message") if isinstance(commit, dict) else None
    return message if isinstance(message, str) else None
