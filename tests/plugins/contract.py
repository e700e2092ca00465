"""What all three CI plugins have in common (docs/ci-plugins.md): scenarios that the tests of each plugin run.

class TestGitHubAction(PluginContract):
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Plugin: ...
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from tests.support.local_api import LocalApi
from tests.support.stack import running_stack
from tests.support.waiting import wait_until

TOKEN: Final = "local-api-token"
HOSTILE: Final = (
    'it\'s "quoted" \\ back\\nslash $(touch pwned) `touch pwned` ${PATH} %0A ::set-output name=status::pwned '
    "::error::pwned <b>&amp;</b> {{ x }} émoji 🚀 \t tab"
)
"""A possible first line of a commit's message, longer than a name may be."""
MANY_LINES: Final = f"{HOSTILE}\n::warning::second line\n\nbody"
RECEIVER_SECRET: Final = "secret-of-the-receiver"
NOT_CONFIGURED: Final = "ApiTraffic is not configured: "
REFUSED: Final = "ApiTraffic refused the event: "
UNREACHABLE: Final = "ApiTraffic could not be reached: "


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a job with the plugin in it: its `log`, and the `outputs` of the plugin's last step."""

    is_success: bool
    log: str
    outputs: Mapping[str, str] = field(default_factory=dict)


class Plugin(Protocol):
    """A CI plugin in the system it is for, on a scratch repository.

    `inputs` are named as the GitHub Action's (`api-token`, `on-error`). Each run is a job of its own, in an
    environment called `production` if `inputs` name it.
    """

    source: str
    """Of its events, `github_actions`."""

    def event(self, inputs: Mapping[str, str], commit_message: str = "Faster checkout") -> Run:
        """A job whose one step sends one event."""

    def deployment(
        self, inputs: Mapping[str, str], outcome: str = "success", commit_message: str = "Faster checkout"
    ) -> Run:
        """A job that deploys, with the plugin around it; `outcome` is success, failure or cancelled."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One event sent to an API with these faults, and the expected result."""

    name: str
    status: str
    faults: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    events: int = 1
    says: str = ""
    is_success: bool = True
    most_requests: int | None = None

    def __str__(self) -> str:
        return self.name


SCENARIOS: Final = (
    Scenario("created once", "created"),
    Scenario("a point of another type", "created", inputs={"type": "config_change", "name": "Flag on"}),
    Scenario("dry run", "skipped", inputs={"dry-run": "true"}, events=0, most_requests=0),
    Scenario("no token", "skipped", inputs={"api-token": ""}, events=0, says=NOT_CONFIGURED),
    Scenario("no account", "skipped", inputs={"account-sid": ""}, events=0, says=NOT_CONFIGURED),
    Scenario(
        "no token, to fail",
        "skipped",
        inputs={"api-token": "", "on-error": "fail"},
        events=0,
        says=NOT_CONFIGURED,
        is_success=False,
    ),
    Scenario("401", "failed", inputs={"api-token": "wrong-token"}, events=0, says=f"{REFUSED}401"),
    Scenario("403", "failed", ("status=403",), events=0, says=f"{REFUSED}403", most_requests=2),
    Scenario("422", "failed", ("POST:status=422",), events=0, says=f"{REFUSED}422", most_requests=2),
    Scenario(
        "401, to fail",
        "failed",
        inputs={"api-token": "wrong-token", "on-error": "fail"},
        events=0,
        says=f"{REFUSED}401",
        is_success=False,
    ),
    Scenario(
        "401, to ignore",
        "failed",
        inputs={"api-token": "wrong-token", "on-error": "ignore"},
        events=0,
        says=f"{REFUSED}401",
    ),
    Scenario("429, then fine", "created", ("POST:status=429x1",)),
    Scenario("500 twice, then fine", "created", ("POST:status=500x2",)),
    Scenario("connection closed, then fine", "created", ("POST:refusex1",)),
    Scenario("answer lost after it was done", "created", ("POST:dropx1",)),
    Scenario("answered with a page after it was done", "created", ("POST:commit=200x1",)),
    Scenario(
        "nothing listens",
        "failed",
        inputs={"api-url": "http://127.0.0.1:9/v1", "timeout-seconds": "2"},
        events=0,
        says=UNREACHABLE,
    ),
    Scenario(
        "503 for too long",
        "failed",
        ("status=503",),
        inputs={"timeout-seconds": "3"},
        events=0,
        says=UNREACHABLE,
    ),
    Scenario(
        "nothing listens, to fail",
        "failed",
        inputs={"api-url": "http://127.0.0.1:9/v1", "timeout-seconds": "1", "on-error": "fail"},
        events=0,
        says=UNREACHABLE,
        is_success=False,
    ),
    Scenario("unknown type", "failed", inputs={"type": "deploiement"}, events=0, says="type"),
)


DEPLOYMENT_OUTCOMES: Final = {
    "success": ("Deploy ", "Succeeded after "),
    "failure": ("Failed deploy ", "Failed after "),
    "cancelled": ("Cancelled deploy ", "Cancelled after "),
}
"""Outcome of the job -> the beginning of its event's name and description."""


def listed(api: LocalApi) -> list[dict[str, Any]]:
    """All events that the API lists."""
    records: list[dict[str, Any]] = api.call("GET", "/events?limit=100").json()["records"]
    return records


def deploy_twice(api: LocalApi, **facts: str) -> None:
    """v1, and then v2, of acme/shop to production."""
    for version, hours in (("v1", 5), ("v2", 2)):
        at = format_timestamp(now() - timedelta(hours=hours, seconds=30))
        known = {"repository": "acme/shop", "environment": "production", "status": "success"}
        metadata = known | {"version": version, "commit": version[1] * 40} | facts
        event = {"type": "deployment", "name": version, "startedAt": at, "metadata": metadata}
        assert api.call("POST", "/events", json=event).ok


def requests_made(api: LocalApi) -> int:
    return sum(sum(answers.values()) for answers in api.requests().values())


class PluginContract:
    """Inherited by each plugin's tests, which define the fixture `plugin`."""

    @pytest.fixture
    def direct(self, api: LocalApi) -> dict[str, str]:
        """Inputs that send straight to the API."""
        return {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
    def test_one_event(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str], scenario: Scenario
    ) -> None:
        before = requests_made(api)
        api.set_faults(list(scenario.faults))
        run = plugin.event(direct | {"type": "custom", "name": "Cache cleared"} | dict(scenario.inputs))
        api.set_faults([])
        assert run.outputs.get("status") == scenario.status, run.log
        assert run.is_success is scenario.is_success, run.log
        assert scenario.says in run.log
        if scenario.most_requests is not None:
            assert requests_made(api) - before <= scenario.most_requests
        events = listed(api)
        assert len(events) == scenario.events, run.log
        assert TOKEN not in run.log
        if scenario.status == "created":
            (event,) = events
            assert run.outputs["event-sid"] == event["sid"]
            assert event["source"] == plugin.source
            assert event["metadata"]["marker_key"] == run.outputs["marker-key"]

    def test_every_field_arrives(self, plugin: Plugin, api: LocalApi, direct: dict[str, str]) -> None:
        run = plugin.event(
            direct
            | {
                "type": "incident",
                "name": "Checkout is slow",
                "description": "Latency above 2 s",
                "environments": "env123, env456",
                "metadata": "team: checkout\nticket: OPS-7: urgent",
                "started-at": "2026-11-20T10:00:00Z",
                "ended-at": "2026-11-20T10:30:00+00:00",
            }
        )
        (event,) = listed(api)
        assert run.outputs["status"] == "created"
        assert event["type"] == "incident"
        assert event["name"] == "Checkout is slow"
        assert event["description"] == "Latency above 2 s"
        assert event["environments"] == ["env123", "env456"]
        assert event["startedAt"] == "2026-11-20T10:00:00.000Z"
        assert event["endedAt"] == "2026-11-20T10:30:00.000Z"
        assert event["metadata"]["team"] == "checkout"
        assert event["metadata"]["ticket"] == "OPS-7: urgent"
        assert {"repository", "commit", "actor", "run_url"} <= event["metadata"].keys()

    def test_an_event_is_closed_by_its_sid(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str]
    ) -> None:
        opened = plugin.event(direct | {"type": "incident", "name": "Checkout is slow"})
        closing = {"event-sid": opened.outputs["event-sid"], "ended-at": "2099-01-01T00:00:00Z"}
        closed = plugin.event(direct | closing)
        (event,) = listed(api)
        assert closed.outputs["status"] == "updated", closed.log
        assert event["name"] == "Checkout is slow"
        assert event["type"] == "incident"
        assert event["endedAt"] == "2099-01-01T00:00:00.000Z"

    @pytest.mark.parametrize("outcome", DEPLOYMENT_OUTCOMES)
    def test_a_deployment_is_opened_and_closed(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str], outcome: str
    ) -> None:
        run = plugin.deployment(direct | {"environment": "production", "version": "v2.3.1"}, outcome)
        (event,) = listed(api)
        name, description = DEPLOYMENT_OUTCOMES[outcome]
        assert run.is_success is (outcome == "success"), run.log
        assert event["type"] == "deployment"
        assert event["name"].startswith(name), run.log
        assert event["name"].endswith(" v2.3.1 to production")
        assert event["description"].startswith(description)
        assert event["startedAt"] <= event["endedAt"]
        assert event["metadata"]["status"] == outcome
        assert event["metadata"]["environment"] == "production"
        assert event["metadata"]["version"] == "v2.3.1"
        assert TOKEN not in run.log

    @pytest.mark.parametrize(
        "faults",
        [
            ("POST:status=401x1",),
            ("POST:dropx1",),
            ("POST:commit=200x1",),
            ("PATCH:status=405", "POST:status=500x1"),
        ],
        ids=str,
    )
    def test_a_deployment_is_one_whole_event_whatever_fails(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str], faults: tuple[str, ...]
    ) -> None:
        api.set_faults(list(faults))
        run = plugin.deployment(direct | {"environment": "production"})
        api.set_faults([])
        (event,) = listed(api)
        assert run.is_success, run.log
        assert event["metadata"]["status"] == "success"
        assert event["endedAt"] is not None

    def test_a_look_up_ends_at_what_is_too_old(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str]
    ) -> None:
        """Also if the API ignores the period that it is asked for."""
        api.create_many(
            [
                {
                    "type": "scale",
                    "name": f"Scaled {number}",
                    "startedAt": f"2026-01-10T10:00:00.{number:03}Z",
                }
                for number in range(230)
            ]
        )
        api.set_faults(["unfiltered"])
        before = requests_made(api)
        run = plugin.event(direct | {"type": "custom", "name": "Cache cleared", "marker-key": "cache:7"})
        assert run.outputs["status"] == "created", run.log
        assert requests_made(api) - before == 2

    @pytest.mark.parametrize("outcome", ["success", "failure"])
    def test_a_deployment_runs_to_its_end_if_nothing_listens(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str], outcome: str
    ) -> None:
        nowhere = {"api-url": "http://127.0.0.1:9/v1", "timeout-seconds": "1", "environment": "production"}
        run = plugin.deployment(direct | nowhere, outcome)
        assert run.is_success is (outcome == "success"), run.log
        assert UNREACHABLE in run.log
        assert listed(api) == []

    def test_text_from_outside_is_never_interpreted(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str]
    ) -> None:
        run = plugin.event(
            direct | {"type": "custom", "name": HOSTILE, "metadata": json.dumps({"note": MANY_LINES})},
            commit_message=MANY_LINES,
        )
        (event,) = listed(api)
        assert run.outputs["status"] == "created", run.log
        assert event["name"] == one_line(HOSTILE, 200)
        assert event["metadata"]["commit_message"] == one_line(HOSTILE, 1000)
        assert event["metadata"]["note"] == one_line(MANY_LINES, 1000)

    def test_metadata_that_cannot_be_read_does_not_stop_the_event(
        self, plugin: Plugin, api: LocalApi, direct: dict[str, str]
    ) -> None:
        run = plugin.event(direct | {"type": "custom", "name": "Cache cleared", "metadata": '{"team": '})
        (event,) = listed(api)
        assert run.outputs["status"] == "created"
        assert run.is_success
        assert "metadata" in run.log
        assert "team" not in event["metadata"]

    def test_the_receiver_delivers_it(self, plugin: Plugin, tmp_path: Path) -> None:
        with running_stack(tmp_path) as stack:
            stack.environment["EVENTS_WEBHOOK_SECRET"] = RECEIVER_SECRET
            stack.receiver.start()
            stack.worker.start()
            receiver = {"receiver-url": stack.url, "receiver-secret": RECEIVER_SECRET}
            run = plugin.deployment(receiver | {"environment": "production", "version": "v2.3.1"})
            assert run.is_success, run.log
            wait_until(
                lambda: stack.is_idle() and any(event["endedAt"] for event in stack.events()), "closed"
            )
            (event,) = stack.events()
        assert event["name"].endswith(" v2.3.1 to production")
        assert event["metadata"]["status"] == "success"
        assert event["source"] == plugin.source
        assert RECEIVER_SECRET not in run.log

    def test_the_receiver_refuses_a_wrong_secret(self, plugin: Plugin, tmp_path: Path) -> None:
        with running_stack(tmp_path) as stack:
            stack.environment["EVENTS_WEBHOOK_SECRET"] = RECEIVER_SECRET
            stack.receiver.start()
            receiver = {"receiver-url": stack.url, "receiver-secret": "another-secret"}
            run = plugin.event(receiver | {"type": "custom", "name": "Cache cleared"})
        assert run.outputs["status"] == "failed"
        assert f"{REFUSED}401" in run.log
        assert run.is_success
