"""Links to what changed between two commits, on the hosts whose address for that is known."""

import re
from typing import Final
from urllib.parse import urlsplit

COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
GITHUB: Final = "{repository}/compare/{old}...{new}"
GITLAB: Final = "{repository}/-/compare/{old}...{new}"
BITBUCKET: Final = "{repository}/branches/compare/{new}..{old}"
"""The other way round: what is in the first and not in the second."""

HOSTS: Final = {
    "github.com": GITHUB,
    "gitlab.com": GITLAB,
    "bitbucket.org": BITBUCKET,
    "gitea.com": GITHUB,
    "codeberg.org": GITHUB,
}
SOURCES: Final = {"github_actions": GITHUB, "gitlab_ci": GITLAB, "gitea": GITHUB, "forgejo": GITHUB}
"""By the event's `source`, for hosts of one's own. Forgejo and Gitea write it as GitHub does."""


def compare_url(
    repository_url: str | None, source: str | None, old: str | None, new: str | None
) -> str | None:
    """Where to see the commits after `old` up to `new`.

    `None` unless both commits are known and differ, and the host is known to have such a page.
    """
    if repository_url is None or not _are_commits(old, new) or old == new:
        return None
    try:
        address = urlsplit(repository_url)
    except ValueError:
        return None
    host = (address.hostname or "").removeprefix("www.")
    form = HOSTS.get(host) or (GITHUB if host.endswith(".ghe.com") else SOURCES.get(source or ""))
    if form is None or not address.path.strip("/"):
        return None
    repository = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return form.format(repository=repository.rstrip("/").removesuffix(".git"), old=old, new=new)


def _are_commits(*commits: str | None) -> bool:
    return all(commit is not None and COMMIT.fullmatch(commit) for commit in commits)
