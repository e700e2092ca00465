"""Links to what changed between two deployed commits."""

import pytest

from receiver.insight.compare import compare_url

OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("repository", "source", "link"),
    [
        (
            "https://github.com/acme/shop",
            "github_actions",
            f"https://github.com/acme/shop/compare/{OLD}...{NEW}",
        ),
        (
            "https://github.com/acme/shop.git",
            "jenkins",
            f"https://github.com/acme/shop/compare/{OLD}...{NEW}",
        ),
        ("https://acme.ghe.com/a/shop", "jenkins", f"https://acme.ghe.com/a/shop/compare/{OLD}...{NEW}"),
        ("https://git.acme.test/a/s", "github_actions", f"https://git.acme.test/a/s/compare/{OLD}...{NEW}"),
        ("https://gitlab.com/g/sub/p", "gitlab_ci", f"https://gitlab.com/g/sub/p/-/compare/{OLD}...{NEW}"),
        ("https://git.acme.test/g/p/", "gitlab_ci", f"https://git.acme.test/g/p/-/compare/{OLD}...{NEW}"),
        (
            "https://bitbucket.org/acme/shop",
            "x",
            f"https://bitbucket.org/acme/shop/branches/compare/{NEW}..{OLD}",
        ),
        (
            "https://codeberg.org/acme/shop",
            "forgejo",
            f"https://codeberg.org/acme/shop/compare/{OLD}...{NEW}",
        ),
        ("https://git.acme.test:3000/a/s", "gitea", f"https://git.acme.test:3000/a/s/compare/{OLD}...{NEW}"),
        ("https://me:pass@github.com/a/s", "jenkins", f"https://github.com/a/s/compare/{OLD}...{NEW}"),
    ],
)
def test_the_link_is_written_as_the_host_writes_it(repository: str, source: str, link: str) -> None:
    assert compare_url(repository, source, OLD, NEW) == link


@pytest.mark.parametrize(
    ("repository", "source", "old", "new"),
    [
        (None, "github_actions", OLD, NEW),
        ("https://git.acme.test/a/s", "jenkins", OLD, NEW),
        ("https://git.acme.test/a/s", None, OLD, NEW),
        ("https://github.com/", "github_actions", OLD, NEW),
        ("https://[github.com/a/s", "github_actions", OLD, NEW),
        ("https://github\u2100.com/a/s", "github_actions", OLD, NEW),
        ("https://github.com/a/s", "github_actions", None, NEW),
        ("https://github.com/a/s", "github_actions", OLD, None),
        ("https://github.com/a/s", "github_actions", NEW, NEW),
        ("https://github.com/a/s", "github_actions", "main", NEW),
        ("https://github.com/a/s", "github_actions", OLD, "../../evil"),
    ],
)
def test_without_two_commits_and_a_known_host_there_is_no_link(
    repository: str | None, source: str | None, old: str | None, new: str | None
) -> None:
    assert compare_url(repository, source, old, new) is None
