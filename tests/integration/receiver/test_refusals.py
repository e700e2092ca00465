"""A refused request: the log says why, the answer is the same whatever the reason."""

import re
import uuid
from collections.abc import Iterator
from typing import Final

import pytest
import requests

from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

SECRET: Final = "the-secret-of-this-source-0123456789"
SOURCES: Final = {
    "github": "GITHUB_WEBHOOK_SECRET",
    "gitlab": "GITLAB_WEBHOOK_TOKEN",
    "jenkins": "JENKINS_WEBHOOK_TOKEN",
    "pagerduty": "PAGERDUTY_WEBHOOK_SECRET",
    "gitea": "GITEA_WEBHOOK_SECRET",
    "forgejo": "FORGEJO_WEBHOOK_SECRET",
    "alertmanager": "ALERTMANAGER_WEBHOOK_TOKEN",
    "grafana": "GRAFANA_WEBHOOK_SECRET",
    "annotations": "ANNOTATIONS_TOKEN",
    "events": "EVENTS_WEBHOOK_SECRET",
}
WRONG: Final = {
    "github": {"X-Hub-Signature-256": f"sha256={'0' * 64}"},
    "gitlab": {"X-Gitlab-Token": "a-wrong-token-9876"},
    "jenkins": {"Authorization": "Bearer a-wrong-token-9876"},
    "pagerduty": {"X-PagerDuty-Signature": f"v1={'0' * 64}"},
    "gitea": {"X-Gitea-Signature": "0" * 64},
    "forgejo": {"X-Forgejo-Signature": "0" * 64},
    "alertmanager": {"Authorization": "Bearer a-wrong-token-9876"},
    "grafana": {"X-Grafana-Alerting-Signature": "0" * 64},
    "annotations": {"Authorization": "Bearer a-wrong-token-9876"},
    "events": {"Authorization": "Bearer a-wrong-token-9876"},
}
V2: Final = b'{"messages":[{"event":"incident.trigger","incident":{"id":"PT4KHLK"}}]}'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("refusing")) as stack:
        stack.environment |= dict.fromkeys(SOURCES.values(), SECRET)
        stack.receiver.start()
        yield stack


def refused(stack: Stack, source: str, headers: dict[str, str], body: bytes = b"{}") -> tuple[bytes, str]:
    """The body of the answer, and the line of the log."""
    name = f"r-{uuid.uuid4()}"
    answer = requests.post(
        f"{stack.url}/webhooks/{source}",
        data=body,
        headers={"Content-Type": "application/json", "X-Request-ID": name, **headers},
        timeout=30,
    )
    assert answer.status_code == 401
    pattern = re.compile(rf"^.*refused.*{name}.*$", re.MULTILINE)
    wait_until(lambda: pattern.search(stack.receiver.log()), "it is in the log")
    found = pattern.search(stack.receiver.log())
    assert found is not None
    return answer.content, found[0]


@pytest.mark.parametrize("source", SOURCES)
def test_the_log_says_why_and_the_answer_does_not(served: Stack, source: str) -> None:
    without, missing = refused(served, source, {})
    with_wrong, wrong = refused(served, source, WRONG[source])
    assert without == with_wrong
    assert " missing" in missing
    assert re.search(f"matches no (secret|token) in {SOURCES[source]}", wrong)
    for secret in (SECRET, "a-wrong-token-9876", "0" * 64):
        assert secret not in missing + wrong


def test_the_log_says_who_sent_what(served: Stack) -> None:
    """With the delivery's id, it is found in the sender's own list."""
    identity = str(uuid.uuid4())
    sent = {"X-GitHub-Event": "deployment_status", "X-GitHub-Delivery": identity, "X-Hub-Signature": "sha1=0"}
    _, line = refused(served, "github", sent)
    assert "which is SHA-1, is not accepted" in line
    for field in ("address=127.0.0.1", "delivery_event=deployment_status", f"delivery={identity}"):
        assert field in line


def test_what_is_no_name_is_not_repeated(served: Stack) -> None:
    odd = {"X-GitHub-Event": "x' level=error event=forged", "X-GitHub-Delivery": SECRET * 5}
    _, line = refused(served, "github", odd | {"X-Hub-Signature-256": "sha256=0"})
    assert "X-Hub-Signature-256 is malformed" in line
    assert "forged" not in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "status", "words"),
    [
        ("GET", "/webhooks/github", None, b"", 405, "webhooks are sent with POST"),
        ("POST", "/webhooks/gihub", "application/json", b"{}", 404, "right_path=/webhooks/github"),
        ("POST", "/webhooks/gitlab/", "application/json", b"{}", 404, "right_path=/webhooks/gitlab"),
        ("POST", "/webhooks/jenkins", "text/plain", b"{}", 415, "content_type=text/plain"),
        ("POST", "/webhooks/jenkins", "application/json", b" " * (2 * 1024 * 1024), 413, "status=413"),
        ("POST", "/webhooks/events", "application/json", b"{}", 422, "status=422"),
    ],
)
def test_each_other_refusal_is_a_line_too(
    served: Stack,
    method: str,
    path: str,
    content_type: str | None,
    body: bytes,
    status: int,
    words: str,
) -> None:
    name = f"r-{uuid.uuid4()}"
    headers = {"Authorization": f"Bearer {SECRET}", "X-Request-ID": name}
    if content_type:
        headers["Content-Type"] = content_type
    answer = requests.request(method, served.url + path, data=body, headers=headers, timeout=30)
    assert answer.status_code == status
    pattern = re.compile(rf"^.*{name}.*$", re.MULTILINE)
    wait_until(lambda: pattern.search(served.receiver.log()), "it is in the log")
    found = pattern.search(served.receiver.log())
    assert found is not None
    assert words in found[0]
    assert "address=127.0.0.1" in found[0]


def test_the_log_says_that_a_pagerduty_webhook_is_v2(served: Stack) -> None:
    usual = requests.post(f"{served.url}/webhooks/pagerduty", data=b"{}", timeout=30).content
    answer, line = refused(served, "pagerduty", {"User-Agent": "PagerDuty-Webhook/V2.0"}, V2)
    assert answer == usual
    assert "this looks like PagerDuty V2" in line
    assert "add a V3 webhook" in line
    assert "PT4KHLK" not in line
