"""`connect pagerduty` against a server that behaves as PagerDuty's API does, and a real receiver."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from receiver.sources.signing import pagerduty_request
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

SUBSCRIPTIONS = "/webhook_subscriptions"
EVENTS = [
    "incident.acknowledged",
    "incident.annotated",
    "incident.delegated",
    "incident.escalated",
    "incident.incident_type.changed",
    "incident.priority_updated",
    "incident.reassigned",
    "incident.reopened",
    "incident.resolved",
    "incident.service_updated",
    "incident.status_update_published",
    "incident.triggered",
    "incident.unacknowledged",
]


@dataclass
class PagerDuty:
    """https://developer.pagerduty.com/api-reference, webhook subscriptions, as far as `connect` uses them.

    It shows a secret in the response that creates the subscription, and never again. Its ping is signed.
    """

    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    next_secret: str = SECRET
    pings_arrive: bool = True

    def add(self, url: str, secret: str = OTHER_SECRET, **more: Any) -> str:
        number = f"PSUB00{len(self.secrets)}"
        self.secrets[number] = secret
        self.made[number] = {
            "id": number,
            "type": "webhook_subscription",
            "active": True,
            "delivery_method": {"type": "http_delivery_method", "url": url, "temporarily_disabled": False},
            "events": EVENTS,
            "filter": {"type": "account_reference", "id": "PACC001"},
            **more,
        }
        return number

    def __call__(self, request: Request) -> Answer:  # noqa: PLR0911 - one for each request
        assert request.headers["Accept"] == "application/vnd.pagerduty+json;version=2"
        if request.headers["Authorization"] != f"Token token={TOKEN}":
            return 401, {"error": {"message": "Unauthorized"}}
        if request.path == "/services":
            found = [{"id": "PSVC001", "name": "checkout"}, {"id": "PSVC002", "name": "checkout eu"}]
            return 200, {"services": found, "more": False}
        parts = re.fullmatch(rf"{SUBSCRIPTIONS}(?:/(\w+)(?:/(\w+))?)?", request.path)
        if parts is None or (parts[1] and parts[1] not in self.made):
            return 404, {"error": {"message": "Not Found", "code": 2100}}
        number = parts[1] or ""
        match request.method, parts[2] or ("one" if number else "all"):
            case "GET", "all":
                return 200, {"webhook_subscriptions": [*self.made.values()], "more": False}
            case "POST", "all":
                given = request.body["webhook_subscription"]
                number = self.add(
                    given["delivery_method"]["url"],
                    self.next_secret,
                    **{name: given[name] for name in ("events", "filter")},
                )
                shown = json.loads(json.dumps(self.made[number]))
                shown["delivery_method"]["secret"] = self.next_secret
                return 201, {"webhook_subscription": shown}
            case "PUT", "one":
                self.made[number] |= request.body["webhook_subscription"]
                return 200, {"webhook_subscription": self.made[number]}
            case "DELETE", "one":
                del self.made[number]
                return 204, None
            case "POST", "enable":
                self.made[number]["delivery_method"]["temporarily_disabled"] = False
                return 200, {"webhook_subscription": self.made[number]}
            case "POST", "ping":
                self._ping(number)
                return 202, None
        return 404, None

    def _ping(self, number: str) -> None:
        if not self.pings_arrive:
            return
        event = {"id": "01E", "event_type": "pagey.ping", "resource_type": "pagey", "data": {"type": "ping"}}
        body = json.dumps({"event": event}).encode()
        headers = pagerduty_request(self.secrets[number], "", body, "ping")
        requests.post(self.made[number]["delivery_method"]["url"], data=body, headers=headers, timeout=10)


@pytest.fixture
def pagerduty() -> PagerDuty:
    return PagerDuty()


@pytest.fixture
def server(pagerduty: PagerDuty) -> Iterator[SenderServer]:
    with sender_server(pagerduty) as server:
        yield server


@pytest.fixture
def connect(call: Call, server: SenderServer, receiver: str, env_file: Path) -> Call:
    def invoke(*arguments: str, command: str = "connect", **variables: str) -> Result:
        server.requests.clear()
        options = ["--url", receiver, "--api-url", server.url]
        if command == "connect":
            options += ["--wait", "0"]
            options += [] if "--secret-file" in arguments else ["--env-file", str(env_file)]
        return call(command, "pagerduty", *options, *arguments, **{"PAGERDUTY_TOKEN": TOKEN, **variables})

    return invoke


def test_the_secret_that_is_shown_once_is_stored_and_the_ping_arrives(
    connect: Call, server: SenderServer, receiver: str, env_file: Path
) -> None:
    result = connect()
    assert result.exit_code == 0, result.output
    url = f"{receiver}/webhooks/pagerduty"
    assert env_file.read_text() == f"PAGERDUTY_WEBHOOK_SECRET={SECRET}\n"
    made = {
        "type": "webhook_subscription",
        "description": "Event markers on ApiTraffic's charts",
        "delivery_method": {"type": "http_delivery_method", "url": url},
        "events": EVENTS,
        "filter": {"type": "account_reference"},
    }
    assert server.writes() == [
        ("POST", SUBSCRIPTIONS, {"webhook_subscription": made}),
        ("POST", f"{SUBSCRIPTIONS}/PSUB000/ping", None),
    ]
    lines = result.output.splitlines()
    assert lines[:2] == [
        "webhook   PSUB000 created",
        f"secret    PAGERDUTY_WEBHOOK_SECRET stored in {env_file}",
    ]
    assert lines[3:] == [
        "ping      the receiver has counted it",
        f"Connected: the PagerDuty account sends {', '.join(EVENTS)} to {url}.",
    ]


def test_a_second_run_changes_nothing(connect: Call, server: SenderServer, env_file: Path) -> None:
    connect()
    before = env_file.read_bytes()
    assert connect().exit_code == 0
    assert server.writes() == [("POST", f"{SUBSCRIPTIONS}/PSUB000/ping", None)]
    assert env_file.read_bytes() == before


def test_what_differs_is_corrected_and_what_is_disabled_is_enabled(
    connect: Call, server: SenderServer, pagerduty: PagerDuty, receiver: str, env_file: Path
) -> None:
    env_file.write_text(f"PAGERDUTY_WEBHOOK_SECRET={SECRET}\n")
    url = f"{receiver}/webhooks/pagerduty"
    disabled = {"type": "http_delivery_method", "url": url, "temporarily_disabled": True}
    few = ["incident.triggered", "service.created"]
    pagerduty.add(url, SECRET, delivery_method=disabled, events=few)
    assert connect().exit_code == 0
    wanted = {"events": sorted([*EVENTS, "service.created"])}
    assert server.writes()[:2] == [
        ("PUT", f"{SUBSCRIPTIONS}/PSUB000", {"webhook_subscription": wanted}),
        ("POST", f"{SUBSCRIPTIONS}/PSUB000/enable", None),
    ]


def test_subscriptions_of_others_and_of_other_scopes_are_left_alone(
    connect: Call, server: SenderServer, pagerduty: PagerDuty, receiver: str, env_file: Path
) -> None:
    """Each has a secret of its own, and all stay in the file."""
    url = f"{receiver}/webhooks/pagerduty"
    pagerduty.add("https://ci.example.com/webhooks/pagerduty")
    pagerduty.add(url, filter={"type": "service_reference", "id": "PSVC002"})
    env_file.write_text(f"PAGERDUTY_WEBHOOK_SECRET='{OTHER_SECRET} {OTHER_SECRET}x'\n")
    before = json.dumps(pagerduty.made)
    assert connect("--service", "checkout").exit_code == 0
    assert server.writes()[0][2]["webhook_subscription"]["filter"] == {
        "type": "service_reference",
        "id": "PSVC001",
    }
    stored = f"PAGERDUTY_WEBHOOK_SECRET={SECRET},{OTHER_SECRET},{OTHER_SECRET}x\n"
    assert env_file.read_text() == stored
    assert connect("--service", "PSVC001", command="disconnect").exit_code == 0
    assert server.writes() == [("DELETE", f"{SUBSCRIPTIONS}/PSUB002", None)]
    assert json.dumps(pagerduty.made) == before


def test_a_new_secret_is_a_new_subscription_and_the_old_one_goes_last(
    connect: Call, server: SenderServer, pagerduty: PagerDuty, receiver: str, env_file: Path
) -> None:
    pagerduty.add(f"{receiver}/webhooks/pagerduty", OTHER_SECRET)
    refused = connect()
    assert refused.exit_code == 2
    assert "its secret is not in" in refused.output
    assert server.writes() == []
    env_file.write_text(f"PAGERDUTY_WEBHOOK_SECRET={OTHER_SECRET}\n")
    assert connect("--new-secret").exit_code == 0
    assert env_file.read_text() == f"PAGERDUTY_WEBHOOK_SECRET={SECRET},{OTHER_SECRET}\n"
    assert [write[:2] for write in server.writes()] == [
        ("POST", SUBSCRIPTIONS),
        ("POST", f"{SUBSCRIPTIONS}/PSUB001/ping"),
        ("DELETE", f"{SUBSCRIPTIONS}/PSUB000"),
    ]


def test_a_secret_that_cannot_be_stored_leaves_no_subscription(
    connect: Call, pagerduty: PagerDuty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("receiver.cli.connect.stores.os.fsync", full)
    result = connect("--secret-file", str(tmp_path / "secret"))
    assert result.exit_code == 1
    assert "cannot be written: No space left on device" in result.output
    assert pagerduty.made == {}
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_ping_that_does_not_arrive_is_said(connect: Call, pagerduty: PagerDuty) -> None:
    pagerduty.pings_arrive = False
    result = connect()
    assert result.exit_code == 1
    assert "it has not been seen yet" in result.output


def test_a_dry_run_only_reads(connect: Call, server: SenderServer, env_file: Path) -> None:
    result = connect("--dry-run")
    assert result.exit_code == 0
    assert f"would be created: {', '.join(EVENTS)} from the PagerDuty account to" in result.output
    assert (server.writes(), env_file.exists()) == ([], False)


def test_a_dry_run_says_what_would_stop_the_real_run(call: Call, server: SenderServer, receiver: str) -> None:
    command = ("connect", "pagerduty", "--url", receiver, "--api-url", server.url)
    for options in ((), ("--dry-run",)):
        result = call(*command, *options, PAGERDUTY_TOKEN=TOKEN)
        assert result.exit_code == 2
        assert "PagerDuty makes the secret and shows it once. Say where to store it" in result.output
    assert server.writes() == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, 4, "does not accept the token"),
        (403, 4, "it needs write access"),
        (404, 1, "PagerDuty finds nothing there"),
        (400, 1, "PagerDuty refused the request: 400 Bad Request (Too many subscriptions)"),
    ],
)
def test_what_pagerduty_refuses_is_explained(
    connect: Call, server: SenderServer, status: int, code: int, words: str
) -> None:
    server.fault["POST"] = (status, {"error": {"message": "Too many subscriptions"}})
    result = connect()
    assert (result.exit_code, words in result.output) == (code, True), result.output
