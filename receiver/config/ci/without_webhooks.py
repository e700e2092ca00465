"""Jobs of the CI systems that send the receiver no webhooks, so that no other event of a job is theirs."""

import re
from typing import Final

from receiver.config.ci.facts import PULL_REQUEST_REF, Environ, facts_of, ref_of, repository_at, short_ref
from receiver.config.ci.job import CiJob

LAST_NUMBER: Final = re.compile(r".*/(\d+)")


def circleci_job(env: Environ) -> CiJob:
    """https://circleci.com/docs/reference/variables/"""
    tag, branch = env.get("CIRCLE_TAG", ""), env.get("CIRCLE_BRANCH", "")
    url = env.get("CIRCLE_BUILD_URL", "")
    owner, name = env.get("CIRCLE_PROJECT_USERNAME", ""), env.get("CIRCLE_PROJECT_REPONAME", "")
    pull_request = LAST_NUMBER.fullmatch(env.get("CIRCLE_PULL_REQUEST", ""))
    return CiJob(
        system="CircleCI",
        source="circleci",
        key=f"circleci:{url}",
        ref=ref_of(tag, branch),
        metadata=facts_of(
            **repository_at(env.get("CIRCLE_REPOSITORY_URL"))
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


def buildkite_job(env: Environ) -> CiJob:
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
        ref=ref_of(tag, branch),
        metadata=facts_of(
            **repository_at(env.get("BUILDKITE_REPO")),
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


def azure_job(env: Environ) -> CiJob:
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
        metadata=facts_of(
            **repository_at(env.get("BUILD_REPOSITORY_URI"))
            | {"repository": env.get("BUILD_REPOSITORY_NAME")},
            ref=short_ref(ref),
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


def bitbucket_job(env: Environ) -> CiJob:
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
        ref=ref_of(tag, branch),
        environment=env.get("BITBUCKET_DEPLOYMENT_ENVIRONMENT", ""),
        metadata=facts_of(
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
