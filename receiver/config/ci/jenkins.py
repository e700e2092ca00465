"""A build of Jenkins."""

import re

from receiver.config.ci.facts import Environ, facts_of, ref_of, repository_at
from receiver.config.ci.job import CiJob
from receiver.events import marker_key
from receiver.git_names import REMOTE, without_credentials


def jenkins_job(env: Environ) -> CiJob:
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
        ref=ref_of(tag, env.get("CHANGE_BRANCH") or branch),
        identity=("run_url", "environment"),
        their_key=re.compile(re.escape(marker_key(f"jenkins:{url}"))),
        environment_in_key="where known",
        metadata=facts_of(
            **repository_at(env.get("GIT_URL")),
            ref=tag or branch,
            commit=env.get("GIT_COMMIT"),
            job=env.get("JOB_NAME"),
            run_number=env.get("BUILD_NUMBER"),
            run_url=url,
            pull_request=env.get("CHANGE_ID"),
        ),
    )
