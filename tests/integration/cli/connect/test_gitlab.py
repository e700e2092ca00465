"""`connect gitlab` against a server that behaves as GitLab's API does, and a real receiver."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from receiver.sources.signing import events_request
from tests.support.sender_api import (
    OTHER_SECRET,
    SECRET,
    SIGNING_TOKEN,
    TOKEN,
    Answer,
    Call,
    Request,
    SenderServer,
    sender_server,
)

UNPROCESSABLE = HTTPStatus(422).phrase
"""The test server's words: Python 3.13 has others than 3.12."""
HOOKS = "/projects/acme%2Fshop/hooks"
SWITCHES = {
    "deployment_events": True,
    "feature_flag_events": True,
    "issues_events": True,
    "releases_events": True,
}
OTHER_TOKEN = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q="


@dataclass
class GitLab:
    """https://docs.gitlab.com/api/project_webhooks/, as far as `connect` uses it."""

    version: str = "19.3.0-ee"
    takes_signing_tokens: bool = True
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    prefix: str = HOOKS
    answers_again: int = 202
    """What the receiver answers to a delivery that is sent again."""

    def add(self, **more: Any) -> int:
        number = 31 + len(self.hooks)
        self.hooks[number] = {"enable_ssl_verification": True, "push_events": True, **more}
        return number

    def __call__(self, request: Request) -> Answer:  # noqa: PLR0911, C901 - one for each request
        if request.headers["PRIVATE-TOKEN"] != TOKEN:
            return 401, {"message": "401 Unauthorized"}
        if request.path == "/version":
            return 200, {"version": self.version, "revision": "abc"}
        parts = re.fullmatch(rf"{self.prefix}(?:/(\d+)(?:/(.+))?)?", request.path)
        if parts is None or (parts[1] and int(parts[1]) not in self.hooks):
            return 404, {"message": "404 Project Not Found"}
        number = int(parts[1] or 0)
        match request.method, parts[2] or ("one" if number else "all"):
            case "GET", "all":
                return 200, [self._shown(each) for each in self.hooks]
            case "POST", "all":
                return 201, self._shown(self.add(**self._taken(request.body)))
            case "PUT", "one":
                self.hooks[number] |= self._taken(request.body)
                return 200, self._shown(number)
            case "DELETE", "one":
                del self.hooks[number]
                return 204, None
            case "POST", "test/push_events":
                self._test(number)
                return 201, {"message": "201 Created"}
            case "GET", "events":
                return 200, self.events[::-1]
            case "POST", resend if resend.endswith("/resend"):
                return 201, {"response_status": self.answers_again}
        return 404, {"error": "404 Not Found"}

    def _taken(self, body: dict[str, Any]) -> dict[str, Any]:
        ignored = () if self.takes_signing_tokens else ("signing_token",)
        return {name: value for name, value in body.items() if name not in ignored}

    def _shown(self, number: int) -> dict[str, Any]:
        hook = self.hooks[number]
        shown = {name: value for name, value in hook.items() if name not in ("token", "signing_token")}
        present = {f"{name}_present": bool(hook.get(name)) for name in ("token", "signing_token")}
        return {"id": number, "project_id": 3, "alert_status": "executable", **shown, **present}

    def _test(self, number: int) -> None:
        hook = self.hooks[number]
        body, key = json.dumps({"object_kind": "push"}).encode(), str(uuid.uuid4())
        headers = {"Content-Type": "application/json", "X-Gitlab-Event": "Push Hook", "Idempotency-Key": key}
        if hook.get("token"):
            headers["X-Gitlab-Token"] = hook["token"]
        if hook.get("signing_token"):
            headers |= events_request(hook["signing_token"], "", body, key)
        status = requests.post(hook["url"], data=body, headers=headers, timeout=10).status_code
        self.events.append(
            {
                "id": 501 + len(self.events),
                "url": hook["url"],
                "trigger": "push_hooks",
                "request_headers": {"Idempotency-Key": key, "X-Gitlab-Token": "[REDACTED]"},
                "response_status": str(status),
            }
        )


@pytest.fixture
def gitlab() -> GitLab:
    return GitLab()


@pytest.fixture
def server(gitlab: GitLab) -> Iterator[SenderServer]:
    with sender_server(gitlab) as server:
        yield server


@pytest.fixture
def connect(
    call: Call, server: SenderServer, receiver: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    monkeypatch.setattr("receiver.cli.connect.to_gitlab.new_signing_token", lambda: SIGNING_TOKEN)

    def invoke(*arguments: str, command: str = "connect", **variables: str) -> Result:
        server.requests.clear()
        owner = () if "--group" in arguments else ("acme/shop",)
        options = ["--url", receiver, "--api-url", server.url]
        if command == "connect":
            options += ["--wait", "0", "--env-file", str(env_file)]
        return call(command, "gitlab", *owner, *options, *arguments, **{"GITLAB_TOKEN": TOKEN, **variables})

    return invoke


@pytest.fixture
def redeliver(call: Call, server: SenderServer, receiver: str) -> Call:
    def invoke(*arguments: str) -> Result:
        server.requests.clear()
        options = ("--url", receiver, "--api-url", server.url)
        return call("gitlab", "redeliver", "acme/shop", *options, *arguments, GITLAB_TOKEN=TOKEN)

    return invoke


def test_a_gitlab_that_can_sign_gets_a_signing_token_and_its_test_arrives(
    connect: Call, server: SenderServer, receiver: str, env_file: Path
) -> None:
    result = connect()
    assert result.exit_code == 0, result.output
    url = f"{receiver}/webhooks/gitlab"
    assert env_file.read_text() == f"GITLAB_SIGNING_TOKEN={SIGNING_TOKEN}\n"
    made = {
        "url": url,
        "enable_ssl_verification": True,
        "push_events": False,
        **SWITCHES,
        "signing_token": SIGNING_TOKEN,
    }
    assert server.writes() == [("POST", HOOKS, made), ("POST", f"{HOOKS}/31/test/push_events", None)]
    assert result.output.splitlines()[2:] == [
        "webhook   31 created",
        "ping      200 (GitLab's test)",
        f"Connected: acme/shop on GitLab sends {', '.join(SWITCHES)} to {url}.",
    ]


def test_a_second_run_changes_nothing(connect: Call, server: SenderServer, env_file: Path) -> None:
    connect()
    before = env_file.read_bytes()
    assert connect().exit_code == 0
    assert server.writes() == [("POST", f"{HOOKS}/31/test/push_events", None)]
    assert env_file.read_bytes() == before


def test_an_older_gitlab_gets_a_secret_token(
    connect: Call, server: SenderServer, gitlab: GitLab, env_file: Path
) -> None:
    gitlab.version = "18.11.2"
    assert connect("--no-ping").exit_code == 0
    assert env_file.read_text() == f"GITLAB_WEBHOOK_TOKEN={SECRET}\n"
    assert server.writes()[0][2]["token"] == SECRET
    assert "signing_token" not in server.writes()[0][2]


def test_a_gitlab_that_ignores_signing_tokens_keeps_no_unsigned_webhook(
    connect: Call, server: SenderServer, gitlab: GitLab
) -> None:
    gitlab.takes_signing_tokens = False
    result = connect()
    assert result.exit_code == 1
    assert "run this with --secret-token" in result.output
    assert gitlab.hooks == {}
    assert [method for method, *_ in server.writes()] == ["POST", "DELETE"]


def test_webhooks_of_others_are_left_alone_and_only_what_differs_is_corrected(
    connect: Call, server: SenderServer, gitlab: GitLab, receiver: str, env_file: Path
) -> None:
    theirs = gitlab.add(url="https://ci.example.com/webhooks/gitlab", token=OTHER_SECRET)
    before = json.dumps(gitlab.hooks[theirs])
    env_file.write_text(f"GITLAB_SIGNING_TOKEN={SIGNING_TOKEN}\n")
    url = f"{receiver}/webhooks/gitlab"
    ours = gitlab.add(url=url, signing_token=SIGNING_TOKEN, **SWITCHES | {"issues_events": False})
    result = connect("--event", "confidential_issues_events")
    assert result.exit_code == 0, result.output
    assert server.writes()[0] == (
        "PUT",
        f"{HOOKS}/{ours}",
        {"url": url, "confidential_issues_events": True, "issues_events": True},
    )
    assert connect(command="disconnect").exit_code == 0
    assert server.writes() == [("DELETE", f"{HOOKS}/{ours}", None)]
    assert {number: json.dumps(hook) for number, hook in gitlab.hooks.items()} == {theirs: before}


def test_a_webhook_with_a_secret_token_gets_the_signing_token_besides(
    connect: Call, server: SenderServer, gitlab: GitLab, receiver: str
) -> None:
    gitlab.add(url=f"{receiver}/webhooks/gitlab", token=OTHER_SECRET, **SWITCHES)
    assert connect().exit_code == 0
    assert server.writes()[0][2] == {"url": f"{receiver}/webhooks/gitlab", "signing_token": SIGNING_TOKEN}


def test_a_signature_that_the_receiver_refuses_is_said(
    connect: Call, gitlab: GitLab, receiver: str, env_file: Path
) -> None:
    env_file.write_text(f"GITLAB_SIGNING_TOKEN={SIGNING_TOKEN}\n")
    gitlab.add(url=f"{receiver}/webhooks/gitlab", signing_token=OTHER_TOKEN, **SWITCHES)
    result = connect()
    assert result.exit_code == 1
    assert "the ping was not accepted: 401 (GitLab's test)" in result.output


def test_a_group_is_connected_at_its_own_address(connect: Call, server: SenderServer, gitlab: GitLab) -> None:
    gitlab.prefix = "/groups/acme%2Fteam/hooks"
    assert connect("--group", "acme/team", "--no-ping").exit_code == 0
    assert [write[:2] for write in server.writes()] == [("POST", gitlab.prefix)]


def test_a_dry_run_only_reads(connect: Call, server: SenderServer, env_file: Path) -> None:
    result = connect("--dry-run")
    assert result.exit_code == 0
    assert "a new one would be stored as GITLAB_SIGNING_TOKEN" in result.output
    assert (server.writes(), env_file.exists()) == ([], False)


@pytest.mark.parametrize(
    ("status", "message", "code", "words"),
    [
        (401, "401 Unauthorized", 4, "does not accept the token"),
        (403, "403 Forbidden", 4, "the role Maintainer"),
        (404, "404 Project Not Found", 1, "GitLab finds nothing there"),
        (
            422,
            "Invalid url given",
            1,
            f"GitLab refused the request: 422 {UNPROCESSABLE} (Invalid url given)",
        ),
        (
            422,
            f"token {SIGNING_TOKEN} is invalid",
            1,
            f"GitLab refused the request: 422 {UNPROCESSABLE}\n",
        ),
    ],
)
def test_what_gitlab_refuses_is_explained(
    connect: Call, server: SenderServer, status: int, message: str, code: int, words: str
) -> None:
    server.fault["POST"] = (status, {"message": message})
    result = connect()
    assert (result.exit_code, words in result.output) == (code, True), result.output


def test_only_what_no_delivery_has_brought_is_sent_again_oldest_first(
    redeliver: Call, server: SenderServer, gitlab: GitLab, receiver: str
) -> None:
    gitlab.add(url=f"{receiver}/webhooks/gitlab")
    log = [("a", "503"), ("b", "internal error"), ("c", "202"), ("a", "500"), ("d", "401"), ("d", "200")]
    gitlab.events = [
        {
            "id": number,
            "trigger": "deployment_hooks",
            "request_headers": {"Idempotency-Key": key},
            "response_status": status,
        }
        for number, (key, status) in enumerate(log, 1)
    ]
    dry = redeliver("--dry-run")
    assert (dry.exit_code, server.writes()) == (0, [])
    result = redeliver()
    assert result.output.splitlines() == [
        "deployment_hooks  a  500  202",
        "deployment_hooks  b  internal error  202",
    ]
    assert [write[:2] for write in server.writes()] == [
        ("POST", f"{HOOKS}/31/events/{number}/resend") for number in (4, 2)
    ]
    gitlab.answers_again = 503
    assert redeliver().exit_code == 1
