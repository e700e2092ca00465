"""What is known of a Jenkins build, whichever of the three plugins sends it.

The CloudEvents plugin took the Notification plugin's body over in camelCase, so a fact is a list of paths.
Outbound WebHook knows little more than the build's address.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote

from pydantic import JsonValue

from apitraffic_events.text import one_line, whole_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.git_names import REMOTE, REPOSITORY, without_credentials
from receiver.sources.changes import present
from receiver.sources.not_translated import Untranslatable
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.wording import describe_version

JOB_IN_URL: Final = re.compile(r"(?:^|/)job/([^/]+(?:/[^/=]+=[^/]*(?=/|$))?)")
"""A job and, for a cell of a multi-configuration project, its axes: `deploy-shop/REGION=eu,label=linux`."""
PULL_REQUEST: Final = re.compile(r".+/[PM]R-(\d+)(?:-(?:head|merge))?")
"""How multibranch projects name a pull or merge request's job, below the project's own name;
https://github.com/jenkinsci/github-branch-source-plugin, gitlab-branch-source-plugin."""
BUILD_NUMBER: Final = re.compile(r"#?(\d{1,20})")
NO_BRANCH: Final = frozenset({"detached", "HEAD"})
NO_VERSION: Final = frozenset({"true", "false", "yes", "no"})
"""Of a checkbox, which `RELEASE` may be."""
NOBODY: Final = frozenset({"SYSTEM", "anonymous", "unknown"})
"""Jenkins' own users: the CloudEvents plugin names them where no person started the build."""
LONGEST_DURATION: Final = 10**12
"""Milliseconds; some 30 years."""


def build_key(payload: Payload) -> str:
    """The same for all that is sent of a build. From the whole text: cut short, two builds would be one."""
    if url := next(_whole(payload, "build.full_url", "build.fullUrl", "buildUrl"), None):
        return f"jenkins:{without_credentials(url).rstrip('/')}"
    job = next(_whole(payload, "url", "name", "projectName"), None)
    number = build_number(payload)
    if job is None or number is None:
        raise Untranslatable("build.full_url is missing from the payload, and url or build.number too")
    return f"jenkins:{job.rstrip('/')}#{number}"


def build_number(payload: Payload) -> str | None:
    given = payload.identifier("build.number") or payload.identifier("buildNumber")
    number = BUILD_NUMBER.fullmatch(given or payload.text("buildName") or "")
    return number[1] if number else None


def job_name(payload: Payload) -> str:
    """With its folders, as Jenkins shows it: `team/app`, and for a branch `team/app/feature/cart`.

    A cell of a multi-configuration project has its axes behind it: `deploy-shop/REGION=eu,label=deployer`.
    Only URLs hold the folders. They are encoded once, and a multibranch project encodes the branch's name
    before that; `%` cannot be in any other job's name.
    """
    urls = _whole(payload, "url", "build.url", "build.full_url", "build.fullUrl", "buildUrl")
    found = ("/".join(JOB_IN_URL.findall(url)) for url in urls)
    given = (payload.text(path) for path in ("name", "projectName", "display_name", "displayName"))
    for name in (*found, *given):
        if name and (decoded := one_line(unquote(unquote(name)), VALUE_LIMIT)):
            return decoded
    raise Untranslatable("url is missing from the payload, and name too")


def project_of(job: str) -> str:
    """The job without the axes of a multi-configuration project's cell."""
    parent, _, cell = job.rpartition("/")
    return parent if parent and "=" in cell else job


def pull_request_of(job: str) -> str | None:
    """The number of the pull or merge request that a multibranch project built; `None` for other builds."""
    found = PULL_REQUEST.fullmatch(job)
    return found[1] if found else None


def moment_of(payload: Payload) -> datetime | None:
    """When it started, in what is sent at its start; when it ended, in what is sent at its end."""
    return parse_timestamp(_milliseconds(payload, "build.timestamp"))


def time_taken(payload: Payload) -> timedelta | None:
    """`None` where Jenkins says 0, as it does while a build runs."""
    taken = _milliseconds(payload, "build.duration")
    return timedelta(milliseconds=taken) if taken and taken < LONGEST_DURATION else None


def parameter(payload: Payload, names: Iterable[str], but: frozenset[str] = frozenset()) -> str | None:
    """The value of the first of these parameters that has one; upper and lower case are the same.

    A value of `but`, in lower case, counts as none. No other parameter is read: they may hold anything.
    """
    value = next(
        (
            found
            for name in names
            if (found := whole_parameter(payload, (name,))) and found.lower() not in but
        ),
        None,
    )
    return one_line(value, VALUE_LIMIT) if value else None


def whole_parameter(payload: Payload, names: Iterable[str]) -> str | None:
    """As `parameter`, on one line but uncut: cut short, two would be one."""
    found = payload.value("build.parameters")
    values = {name.lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
    for name in names:
        value = values.get(name.lower())
        if isinstance(value, str) and (line := whole_line(value)):
            return line
    return None


def deployed_version(payload: Payload, version: str | None) -> str:
    """The version as its parameter has it, else `branch@0123abc`, else the build's number."""
    commit = _commit(payload)
    ref = f"refs/tags/{REMOTE.sub('', version)}" if version else _branch(payload)
    number = build_number(payload)
    return describe_version(ref, commit) or (f"#{number}" if number else "")


def actor(payload: Payload) -> str | None:
    """Who started it; only the CloudEvents plugin says so. User ids may be e-mail addresses: none is kept."""
    names = (payload.text(path) for path in ("userName", "userId"))
    return next((name for name in names if name and name not in NOBODY and "@" not in name), None)


def failed_tests(payload: Payload) -> str | None:
    failed, total = (payload.value(f"build.test_summary.{name}") for name in ("failed", "total"))
    is_known = type(failed) is int and type(total) is int and 0 < failed <= total < 10**9
    return f"{failed} of {total} tests failed" if is_known else None


def facts(payload: Payload) -> dict[str, JsonValue]:
    """The metadata that does not depend on the configuration."""
    job, commit = job_name(payload), _commit(payload)
    clone_url = payload.text("build.scm.url", "build.scmState.url") or ""
    repository = REPOSITORY.fullmatch(clone_url)
    is_web = repository and clone_url.startswith("http")
    page = payload.url("build.full_url", "build.fullUrl", "buildUrl")
    url = without_credentials(page) if page else None
    return present(
        job=job,
        pull_request=pull_request_of(job),
        repository=repository["path"] if repository else None,
        repository_url=without_credentials(clone_url).rstrip("/").removesuffix(".git") if is_web else None,
        ref=_branch(payload),
        commit=commit,
        short_commit=commit[:7] if commit else None,
        actor=actor(payload),
        url=url,
        run_number=build_number(payload),
        run_url=url,
    )


def _commit(payload: Payload) -> str | None:
    return payload.text("build.scm.commit", "build.scmState.commit")


def _branch(payload: Payload) -> str | None:
    """Without the name of the remote that Git puts before it."""
    branch = REMOTE.sub("", payload.text("build.scm.branch", "build.scmState.branch") or "")
    return branch if branch and branch not in NO_BRANCH else None


def _milliseconds(payload: Payload, path: str) -> int | None:
    found = payload.value(path)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def _whole(payload: Payload, *paths: str) -> Iterator[str]:
    """Those of these that are text with something in it, uncut."""
    for found in map(payload.value, paths):
        if isinstance(found, str) and found.strip():
            yield found.strip()
