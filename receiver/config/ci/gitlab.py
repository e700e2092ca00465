"""A job of GitLab's pipelines."""

from receiver.config.ci.facts import Environ, facts_of, ref_of
from receiver.config.ci.job import CiJob


def _gitlab_host(env: Environ) -> str:
    """With the port, unless it is the usual one, as webhooks have it. GitLab before 16.10 has no FQDN."""
    host, port = env.get("CI_SERVER_HOST", ""), env.get("CI_SERVER_PORT", "")
    return env.get("CI_SERVER_FQDN") or (f"{host}:{port}" if port not in {"", "80", "443"} else host)


def gitlab_job(env: Environ) -> CiJob:
    """https://docs.gitlab.com/ci/variables/predefined_variables/"""
    tag, job_id = env.get("CI_COMMIT_TAG", ""), env.get("CI_JOB_ID", "")
    branch = env.get("CI_COMMIT_BRANCH") or env.get("CI_COMMIT_REF_NAME", "")
    return CiJob(
        system="GitLab",
        source="gitlab_ci",
        key=f"gitlab:{_gitlab_host(env)}:job:{job_id}",
        ref=ref_of(tag, branch),
        environment=env.get("CI_ENVIRONMENT_NAME", ""),
        identity=("repository", "job_id", "environment"),
        environment_in_key="never",
        metadata=facts_of(
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
