"""What the log says of a request that reaches no source."""

from http import HTTPStatus

import pytest

from receiver.web.strays import explain

TOKEN = "0123456789abcdef-a-token-in-the-path"
GITHUB = {"x-github-event": "push"}


@pytest.mark.parametrize(
    ("path", "headers", "right"),
    [
        ("/webhooks/github/", {}, "/webhooks/github"),
        ("/webhooks/GitHub", {}, "/webhooks/github"),
        ("/github", {}, "/webhooks/github"),
        ("/webhooks/gihub", {}, "/webhooks/github"),
        ("/webhooks/pager-duty", {}, "/webhooks/pagerduty"),
        ("/webhooks/ci", {}, "/webhooks/<source>"),
        ("/webhooks", {}, "/webhooks/<source>"),
        (f"/webhooks/{TOKEN}", {}, "/webhooks/<source>"),
        ("/", GITHUB, "/webhooks/github"),
        ("/hooks/ci", GITHUB, "/webhooks/github"),
    ],
)
def test_a_wrong_path_is_answered_with_the_right_one(path: str, headers: dict[str, str], right: str) -> None:
    stray = explain(HTTPStatus.NOT_FOUND, "POST", path, headers)
    assert stray is not None
    assert stray.event == "no such path"
    assert stray.fields["right_path"] == right
    assert TOKEN not in str(stray)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/webhooks/github", "github is off: set GITHUB_WEBHOOK_SECRET"),
        ("/webhooks/gitlab", "gitlab is off: set GITLAB_WEBHOOK_TOKEN or GITLAB_SIGNING_TOKEN"),
        (f"/webhooks/jenkins/{TOKEN}", "jenkins is off: set JENKINS_WEBHOOK_TOKEN"),
    ],
)
def test_a_source_that_is_off_says_what_turns_it_on(path: str, reason: str) -> None:
    stray = explain(HTTPStatus.NOT_FOUND, "POST", path, {})
    assert stray is not None
    assert stray.event == "refused"
    assert stray.fields["reason"] == reason
    assert TOKEN not in str(stray)


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/wp-login.php", "/healthz/x"])
@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED])
def test_what_was_not_for_us_is_not_logged(path: str, status: HTTPStatus) -> None:
    assert explain(status, "GET", path, {}) is None


def test_a_browser_that_opens_the_address_is_told_apart() -> None:
    stray = explain(HTTPStatus.METHOD_NOT_ALLOWED, "GET", "/webhooks/github", {})
    assert stray is not None
    assert stray.fields == {
        "source": "github",
        "status": 405,
        "method": "GET",
        "reason": "webhooks are sent with POST",
    }
    odd = explain(HTTPStatus.METHOD_NOT_ALLOWED, TOKEN, "/webhooks/github", {})
    assert odd is not None
    assert TOKEN not in str(odd)
