"""`connect github` against a server that behaves as GitHub's API does, and a real receiver."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from receiver.cli.connect import flow
from receiver.sources.signing import github_request
from tests.support.sender_api import (
    OTHER_SECRET,
    SECRET,
    TOKEN,
    Answer,
    Call,
    Request,
    SenderServer,
    sender_server,
)

HOOKS = "/repos/acme/shop/hooks"
EVENTS = ["deployment_status", "issues", "release"]
MASKED = "********"


@dataclass
class GitHub:
    """https://docs.github.com/en/rest/repos/webhooks, as far as `connect` uses it.

    It pings as GitHub does: it signs with its own secret, posts to the hook's address and lists the answer.
    """

    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    prefix: str = HOOKS

    def add(self, url: str, secret: str | None = None, **more: Any) -> int:
        number = 7 + len(self.hooks)
        config = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret}
        self.hooks[number] = {"active": True, "events": EVENTS, "config": config, **more}
        return number

    def __call__(self, request: Request) -> Answer:  # noqa: PLR0911 - one for each request
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        parts = re.fullmatch(rf"{self.prefix}(?:/(\d+)(/\w+)?)?", request.path)
        if parts is None or (parts[1] and int(parts[1]) not in self.hooks):
            return 404, {"message": "Not Found"}
        number, method = int(parts[1] or 0), request.method
        match method, parts[2] or ("one" if number else "all"):
            case "GET", "all":
                return 200, [self._shown(each) for each in self.hooks]
            case "POST", "all":
                number = self._made(request)
                self._ping(number)
                return 201, self._shown(number)
            case "PATCH", "one":
                self.hooks[number] |= request.body
                return 200, self._shown(number)
            case "PATCH", "/config":
                self.hooks[number]["config"] |= request.body
                return 200, {}
            case "DELETE", "one":
                del self.hooks[number]
                return 204, None
            case "POST", "/pings":
                self._ping(number)
                return 204, None
            case "GET", "/deliveries":
                return 200, self.deliveries[::-1]
        return 404, {"message": "Not Found"}

    def _made(self, request: Request) -> int:
        number = 7 + len(self.hooks)
        self.hooks[number] = {key: request.body[key] for key in ("active", "events", "config")}
        return number

    def _shown(self, number: int) -> dict[str, Any]:
        hook = self.hooks[number]
        secret = {"secret": MASKED} if hook["config"].get("secret") else {}
        config = {name: value for name, value in hook["config"].items() if name != "secret"} | secret
        return {"type": "Repository", "id": number, "name": "web", **hook, "config": config}

    def _ping(self, number: int) -> None:
        config = self.hooks[number]["config"]
        body = json.dumps({"zen": "Design for failure.", "hook_id": number}).encode()
        headers = github_request(config["secret"] or "", "ping", body, f"ping-{len(self.deliveries)}")
        code = requests.post(config["url"], data=body, headers=headers, timeout=10).status_code
        self.deliveries.append(
            {
                "id": 1001 + len(self.deliveries),
                "guid": headers["X-GitHub-Delivery"],
                "delivered_at": "2026-01-05T12:00:00Z",
                "redelivery": False,
                "status": "OK" if code == 200 else f"Invalid HTTP Response: {code}",
                "status_code": code,
                "event": "ping",
            }
        )


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture
def server(github: GitHub) -> Iterator[SenderServer]:
    with sender_server(github) as server:
        yield server


@pytest.fixture
def connect(call: Call, server: SenderServer, receiver: str, env_file: Path) -> Call:
    """Connect acme/shop and keep the secret in an env file, unless the arguments say otherwise."""

    def invoke(*arguments: str, command: str = "connect", **variables: str) -> Result:
        server.requests.clear()
        owner = () if "--organization" in arguments else ("acme/shop",)
        stores = ("--toml", "--kubernetes-secret", "--secret-file", "--no-store")
        options = ["--url", receiver, "--api-url", server.url]
        if command == "connect":
            options += ["--wait", "0"]
            options += [] if set(stores) & {*arguments} else ["--env-file", str(env_file)]
        given = [argument for argument in arguments if argument != "--no-store"]
        return call(command, "github", *owner, *options, *given, **{"GITHUB_TOKEN": TOKEN, **variables})

    return invoke


def address(receiver: str) -> str:
    return f"{receiver}/webhooks/github"


def test_the_first_run_makes_secret_and_webhook_and_sees_the_ping_arrive(
    connect: Call, server: SenderServer, receiver: str, env_file: Path
) -> None:
    result = connect()
    assert result.exit_code == 0, result.output
    assert env_file.read_text() == f"GITHUB_WEBHOOK_SECRET={SECRET}\n"
    assert env_file.stat().st_mode & 0o777 == 0o600
    config = {"url": address(receiver), "content_type": "json", "insecure_ssl": "0", "secret": SECRET}
    assert server.writes() == [
        ("POST", HOOKS, {"name": "web", "active": True, "events": EVENTS, "config": config})
    ]
    lines = result.output.splitlines()
    assert lines[0] == f"secret    GITHUB_WEBHOOK_SECRET stored in {env_file}"
    assert lines[1].startswith("receiver  accepted a signed ping in ")
    assert lines[2:] == [
        "webhook   7 created",
        "ping      200 OK",
        "Connected: acme/shop on GitHub sends deployment_status, issues, release to "
        + address(receiver)
        + ".",
    ]


def test_a_second_run_changes_nothing(connect: Call, server: SenderServer, env_file: Path) -> None:
    connect()
    before = env_file.read_bytes()
    result = connect()
    assert result.exit_code == 0, result.output
    assert server.writes() == [("POST", f"{HOOKS}/7/pings", None)]
    assert env_file.read_bytes() == before
    assert "7 is as it should be" in result.output
    assert connect("--no-ping").exit_code == 0
    assert server.writes() == []


def test_webhooks_of_others_are_left_alone(
    connect: Call, server: SenderServer, github: GitHub, receiver: str
) -> None:
    github.add("https://ci.example.com/webhooks/github", "theirs")
    github.add(f"{address(receiver)}/else", "theirs", active=False)
    before = json.dumps(github.hooks)
    assert connect().exit_code == 0
    assert connect(command="disconnect").exit_code == 0
    assert [method for method, *_ in server.writes()] == ["DELETE"]
    assert json.dumps(github.hooks) == before


def test_only_what_differs_is_corrected(
    connect: Call, server: SenderServer, github: GitHub, receiver: str, env_file: Path
) -> None:
    env_file.write_text(f"A=1\nexport GITHUB_WEBHOOK_SECRET='{SECRET}'\n")
    github.add(address(receiver), SECRET, active=False, events=["push", "release"])
    github.hooks[7]["config"]["insecure_ssl"] = "1"
    result = connect("--event", "workflow_run")
    assert result.exit_code == 0, result.output
    wanted = ["deployment_status", "issues", "push", "release", "workflow_run"]
    assert server.writes() == [
        ("PATCH", f"{HOOKS}/7/config", {"insecure_ssl": "0"}),
        ("PATCH", f"{HOOKS}/7", {"active": True, "events": wanted}),
        ("POST", f"{HOOKS}/7/pings", None),
    ]
    assert "event deployment_status is missing" in result.output
    assert env_file.read_text() == f"A=1\nexport GITHUB_WEBHOOK_SECRET='{SECRET}'\n"


def test_the_configuration_in_force_says_which_events(
    connect: Call, server: SenderServer, tmp_path: Path
) -> None:
    (tmp_path / "apitraffic.toml").write_text('[github]\nevents = ["package", "repository_*"]\n')
    assert connect().exit_code == 0
    assert server.writes()[0][2]["events"] == ["package", "repository_ruleset"]


def test_an_organisation_is_connected_at_its_own_address(
    connect: Call, server: SenderServer, github: GitHub
) -> None:
    github.prefix = "/orgs/acme/hooks"
    assert connect("--organization", "acme").exit_code == 0
    assert [write[:2] for write in server.writes()] == [("POST", "/orgs/acme/hooks")]


def test_a_dry_run_only_reads(
    connect: Call, server: SenderServer, github: GitHub, receiver: str, env_file: Path
) -> None:
    result = connect("--dry-run")
    assert result.exit_code == 0
    assert f"would be created: {', '.join(EVENTS)} from acme/shop on GitHub" in result.output
    assert (server.writes(), env_file.exists()) == ([], False)
    github.add(address(receiver), SECRET, active=False)
    assert "7 would be removed" in connect("--dry-run", command="disconnect").output
    assert "7 would be changed: it is switched off" in connect("--dry-run", "--new-secret").output
    assert (server.writes(), env_file.exists()) == ([], False)


def test_a_dry_run_says_what_would_stop_the_real_run(connect: Call, server: SenderServer) -> None:
    really, dry = connect("--no-store"), connect("--no-store", "--dry-run")
    assert dry.exit_code == really.exit_code == 2
    problem = "GITHUB_WEBHOOK_SECRET is not set. Say where to store the secret: --env-file"
    assert problem in really.output
    assert problem in dry.output
    assert "would be created" in dry.output
    assert "new one would be stored" not in dry.output
    assert server.writes() == []


def test_a_github_that_cannot_be_reached_leaves_what_is_known_of_the_plan(
    call: Call, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.cli.connect.to_github.sleep", lambda seconds: None)
    options = ("--url", "http://127.0.0.1:8090", "--env-file", str(env_file))
    where = ("--api-url", "http://127.0.0.1:9", "--dry-run")
    result = call("connect", "github", "acme/shop", *options, *where, GITHUB_TOKEN=TOKEN)
    assert result.exit_code == 5
    address = "http://127.0.0.1:8090/webhooks/github"
    assert f"would be made or corrected: {', '.join(EVENTS)} from acme/shop on GitHub to {address}" in (
        result.output
    )
    assert f"GITHUB_WEBHOOK_SECRET in {env_file} would get a new one" in result.output
    assert (
        "no answer from http://127.0.0.1:9: it refuses connections; check whether this host" in result.stderr
    )
    assert "ConnectionError" not in result.output
    homeless = call("connect", "github", "acme/shop", *options[:2], *where, GITHUB_TOKEN=TOKEN)
    assert "there is no place for a new one yet: --env-file" in homeless.stdout


@pytest.mark.parametrize(
    "pasted",
    [
        "{server}/acme/shop",
        "{server}/acme/shop.git",
        "{server}/acme/shop/settings/hooks?page=2",
        "git@127.0.0.1:acme/shop.git",
        "127.0.0.1/acme/shop",
    ],
)
def test_the_address_of_the_repository_can_be_pasted(
    call: Call, server: SenderServer, receiver: str, env_file: Path, pasted: str
) -> None:
    options = ("--url", receiver, "--api-url", server.url, "--env-file", str(env_file), "--dry-run")
    result = call("connect", "github", pasted.format(server=server.url), *options, GITHUB_TOKEN=TOKEN)
    assert result.exit_code == 0, result.output
    assert "from acme/shop on GitHub" in result.output


def test_an_address_on_another_server_is_not_asked_for_at_github(call: Call, receiver: str) -> None:
    result = call(
        *("connect", "github", "https://git.example.com/acme/shop", "--url", receiver), GITHUB_TOKEN=TOKEN
    )
    assert result.exit_code == 2
    assert "git.example.com is not github.com" in result.output
    assert "--api-url" in result.output


@pytest.mark.parametrize(
    ("url", "api_url", "is_warned"),
    [
        ("http://127.0.0.1:8090", "https://api.github.com", True),
        ("https://10.1.2.3", "https://api.github.com", True),
        ("http://localhost:8080", "https://api.pagerduty.com", True),
        ("http://[fd00::1]:8080", "https://gitlab.com/api/v4", True),
        ("https://hooks.example.com", "https://api.github.com", False),
        ("https://10.1.2.3", "http://127.0.0.1:3000/api/v3", False),
        ("https://8.8.8.8", "https://api.github.com", False),
    ],
)
def test_an_address_that_the_sender_cannot_reach_is_a_warning(
    url: str, api_url: str, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.warn_if_out_of_reach(url, api_url)
    assert ("cannot be reached from" in capsys.readouterr().err) is is_warned


def test_a_webhook_whose_secret_is_elsewhere_keeps_it(
    connect: Call, server: SenderServer, github: GitHub, receiver: str, env_file: Path
) -> None:
    github.add(address(receiver), OTHER_SECRET)
    result = connect()
    assert result.exit_code == 2
    assert "its secret is not in" in result.output
    assert "--new-secret" in result.output
    assert (server.writes(), env_file.exists()) == ([], False)


def test_a_new_secret_is_stored_before_the_old_one_and_then_given_to_github(
    connect: Call, server: SenderServer, github: GitHub, receiver: str, env_file: Path
) -> None:
    env_file.write_text(f"GITHUB_WEBHOOK_SECRET={OTHER_SECRET}\n")
    github.add(address(receiver), OTHER_SECRET)
    result = connect("--new-secret")
    assert result.exit_code == 0, result.output
    assert env_file.read_text() == f"GITHUB_WEBHOOK_SECRET={SECRET},{OTHER_SECRET}\n"
    assert server.writes()[0] == ("PATCH", f"{HOOKS}/7/config", {"secret": SECRET})


def test_the_webhook_is_not_touched_before_the_receiver_has_the_secret(
    connect: Call, server: SenderServer, env_file: Path
) -> None:
    env_file.write_text(f"GITHUB_WEBHOOK_SECRET={OTHER_SECRET}\n")
    result = connect()
    assert result.exit_code == 1
    assert "the receiver is not ready: answers 401" in result.output
    assert f"restart the receiver with {env_file}" in result.output
    assert server.writes() == []


def test_a_ping_with_another_secret_is_said(
    connect: Call, github: GitHub, receiver: str, env_file: Path
) -> None:
    env_file.write_text(f"GITHUB_WEBHOOK_SECRET={SECRET}\n")
    github.add(address(receiver), OTHER_SECRET)
    result = connect()
    assert result.exit_code == 1
    assert "the ping was not accepted: 401 Invalid HTTP Response: 401" in result.output
    assert "another secret than the receiver" in result.output


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, 4, "does not accept the token"),
        (403, 4, "admin:repo_hook"),
        (404, 1, "GitHub finds nothing there"),
        (422, 1, "GitHub refused the request: 422 Validation Failed"),
    ],
)
def test_what_github_refuses_is_explained(
    connect: Call, server: SenderServer, status: int, code: int, words: str
) -> None:
    server.fault["POST"] = (status, {"message": "Validation Failed", "errors": [{"value": SECRET}]})
    result = connect()
    assert (result.exit_code, words in result.output) == (code, True), result.output


def test_a_server_that_is_not_githubs_is_said_without_its_answer(connect: Call, server: SenderServer) -> None:
    server.fault["GET"] = (200, {"config": {"secret": SECRET}})
    result = connect()
    assert result.exit_code == 5
    assert "does not answer as GitHub's API does" in result.output


def test_disconnecting_twice_is_no_error(connect: Call, server: SenderServer) -> None:
    connect()
    result = connect(command="disconnect")
    assert (result.exit_code, server.writes()) == (0, [("DELETE", f"{HOOKS}/7", None)])
    assert "remove GITHUB_WEBHOOK_SECRET from the receiver's settings too" in result.output
    again = connect(command="disconnect")
    assert (again.exit_code, server.writes()) == (0, [])
    assert "nothing to do" in again.output


def test_a_variable_that_is_set_needs_no_file(connect: Call, server: SenderServer) -> None:
    assert connect("--no-store", GITHUB_WEBHOOK_SECRET=SECRET).exit_code == 0
    result = connect("--no-store", "--new-secret")
    assert result.exit_code == 2
    assert "Say where to store the secret" in result.output
    assert server.writes() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--url", "ftp://x"), "Write an http or https URL"),
        (("--api-url", "http://github.example.com"), "would show the token to the network"),
        (("--organization", "a/b"), "--organization 'a/b' is not an organisation's name"),
        (("--toml", "x.toml", "--secret-file", "y"), "Give one of --env-file"),
    ],
)
def test_a_mistake_is_said_before_anything_is_asked(
    connect: Call, server: SenderServer, arguments: tuple[str, ...], words: str
) -> None:
    result = connect(*arguments)
    assert (result.exit_code, words in result.output) == (2, True), result.output
    assert server.requests == []


def test_without_a_token_it_says_which_one_is_needed(connect: Call) -> None:
    result = connect(GITHUB_TOKEN="")
    assert result.exit_code == 3
    assert "GITHUB_TOKEN (or GITHUB_TOKEN_FILE) is not set; a classic token needs" in result.output


def test_it_waits_until_the_receiver_has_the_secret_and_only_then_makes_the_webhook(
    connect: Call, server: SenderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    monkeypatch.setattr("receiver.cli.connect.flow.sleep", lambda _: pauses.append(len(server.writes())))

    def restarting(request: Request) -> Answer:
        if request.method == "GET":
            return 200, {"status": "up"}
        return (200, {"status": "ignored"}) if len(pauses) > 1 else (404, {"detail": "the source is off"})

    with sender_server(restarting) as receiver:
        result = connect("--url", receiver.url, "--wait", "60")
    assert result.exit_code == 0, result.output
    assert pauses == [0, 0]
    assert result.output.count("receiver  not ready yet: answers 404 the source is off") == 1
    assert "Waiting up to 60 s" in result.output
    assert "webhook   7 created" in result.output
