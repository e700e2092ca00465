"""What the jobs of several CI systems say alike: the commit, the branch or tag, the repository."""

import re
from collections.abc import Mapping
from typing import Final

from receiver.git_names import REPOSITORY, without_credentials

Environ = Mapping[str, str]
"""Of the process that runs in the job."""
PULL_REQUEST_REF: Final = re.compile(r"refs/pull/(\d+)/.*")


def facts_of(**known: str | None) -> dict[str, str]:
    """The values that are not empty, with the commit's short form and the first line of its message."""
    commit = known.get("commit")
    known["short_commit"] = commit[:7] if commit else None
    known["commit_message"] = next(iter((known.get("commit_message") or "").strip().splitlines()), "")
    known["url"] = known.get("url") or known.get("run_url")
    return {name: value for name, value in known.items() if value}


def ref_of(tag: str, branch: str) -> str:
    """As in Git; empty if there is neither."""
    if tag:
        return f"refs/tags/{tag}"
    return f"refs/heads/{branch}" if branch else ""


def short_ref(ref: str) -> str:
    """The name of the branch or tag."""
    return re.sub(r"^refs/(heads|tags)/", "", ref)


def repository_at(clone_url: str | None) -> dict[str, str | None]:
    """Its path, and its address if a browser can open that. A clone URL may contain a token."""
    found = REPOSITORY.fullmatch(clone_url or "")
    if not clone_url or not found:
        return {}
    is_web = clone_url.startswith("http")
    address = without_credentials(clone_url).rstrip("/").removesuffix(".git") if is_web else None
    return {"repository": found["path"], "repository_url": address}
