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


def test_the_log_says_that_a_pagerduty_webhook_is_v2(served: Stack) -> None:
    usual = requests.post(f"{served.url}/webhooks/pagerduty", data=b"{}", timeout=30).content
    answer, line = refused(served, "pagerduty", {"User-Agent": "PagerDuty-Webhook/V2.0"}, V2)
    assert answer == usual
    assert "this looks like PagerDuty V2" in line
    assert "add a V3 webhook" in line
    assert "PT4KHLK" not in line
