"""A job of GitHub Actions."""

import hashlib
import json
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from receiver.config.ci.facts import PULL_REQUEST_REF, Environ, facts_of, short_ref
from receiver.config.ci.job import CiJob

LARGEST_EVENT_FILE: Final = 5 * 1024 * 1024
"""Characters read of GitHub's event file, which has the commit's message."""
PUBLIC_GITHUB: Final = "github.com"
DEPLOYMENT_KEY: Final = re.compile(r".*:deployment:.*")
GITHUB_ID: Final = re.compile(r"[0-9]{1,20}")
GITHUB_JOB_FACTS: Final = (
    *("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"),
    *("RUNNER_NAME", "RUNNER_TRACKING_ID", "RUNNER_TEMP"),
)
"""The job, its process on the runner and its machine: together they are different for any two jobs."""


def github_job(env: Environ) -> CiJob:
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
        metadata=facts_of(
            repository=repository,
            repository_url=address,
            ref=short_ref(ref),
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
