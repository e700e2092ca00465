"""`apitraffic-events events` against the local Events API: what it sends, prints and exits with."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from apitraffic_events.timestamps import format_timestamp, now
from tests.plugins.contract import NOT_CONFIGURED
from tests.support.command import Command
from tests.support.local_api import LocalApi, running_local_api
from tests.support.processes import shown_on, started
from tests.support.waiting import wait_until

TOKEN = "a-token-nobody-may-see"
NOWHERE = "http://127.0.0.1:9/v1"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FIELDS = [
    *("sid", "type", "name", "description", "source", "metadata", "buckets", "environments"),
    *("startedAt", "endedAt", "createdAt", "updatedAt", "accountSid"),
]
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "27",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_REF": "refs/tags/v2.3.1",
    "GITHUB_SHA": "0123abc0123abc0123abc0123abc0123abc01234",
    "GITHUB_ACTOR": "alice",
}

NO_CI = (
    *("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"),
    *("TF_BUILD", "BITBUCKET_BUILD_NUMBER", "JENKINS_URL"),
)

Events = Callable[..., Result]


@pytest.fixture(scope="module")
def one_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api"), token=TOKEN) as api:
        yield api


@pytest.fixture
def api(one_api: LocalApi) -> LocalApi:
    """Without events and faults."""
    one_api.set_faults([])
    one_api.remove_events()
    return one_api


@pytest.fixture
def environment(api: LocalApi) -> dict[str, str]:
    return {
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }


@pytest.fixture
def events(run: Command, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Events:
    """`events("list", "--json", APITRAFFIC_API_TOKEN="…")`, in the job of no CI system but the test's."""
    for name in (
        "GITHUB_ACTIONS",
        "GITLAB_CI",
        "CIRCLECI",
        "BUILDKITE",
        "TF_BUILD",
        "BITBUCKET_BUILD_NUMBER",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("JENKINS_URL", raising=False)

    def call(*arguments: str, body: bytes | None = None, **variables: str) -> Result:
        result = run("events", *arguments, body=body, environment=environment | variables)
        assert TOKEN not in result.output
        assert "Traceback" not in result.output
        return result

    return call


def listed(api: LocalApi) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = api.call("GET", "/events?limit=100").json()["records"]
    return records


def answer(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    whole: dict[str, Any] = json.loads(result.stdout)
    return whole


def made(api: LocalApi, name: str = "Checkout is slow", **fields: Any) -> str:
    """The SID of an event that is there."""
    event = api.call("POST", "/events", json={"type": "incident", "name": name, **fields}).json()
    return str(event["sid"])


class TestCreate:
    def test_every_field_arrives(self, api: LocalApi, events: Events) -> None:
        result = events(
            *("create", "--type", "incident", "--name", "Checkout is slow", "--source", "runbook"),
            *("--description", "Latency above 2 s", "--metadata", "ticket=OPS-7", "--metadata", "a=b=c"),
            *("--bucket", "Checkout API", "--environments", "staging", "--environments", "env123"),
            *("--started-at", "2026-11-20T10:00:00Z", "--ended-at", "2026-11-20T11:30:00+01:00"),
        )
        (event,) = listed(api)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"created  {event['sid']}  Checkout is slow\n"
        assert event["type"] == "incident"
        assert event["source"] == "runbook"
        assert event["description"] == "Latency above 2 s"
        assert event["buckets"] == ["bkt_checkout0000000000000000000"]
        assert event["environments"] == ["env456", "env123"]
        assert event["startedAt"] == "2026-11-20T10:00:00.000Z"
        assert event["endedAt"] == "2026-11-20T10:30:00.000Z"
        assert event["metadata"]["ticket"] == "OPS-7"
        assert event["metadata"]["a"] == "b=c"
        assert event["metadata"]["marker_key"].startswith("manual:")

    def test_json_is_what_is_documented(self, api: LocalApi, events: Events) -> None:
        whole = answer(events("create", "--name", "Cache cleared", "--type", "custom", "--json"))
        (event,) = listed(api)
        assert list(whole) == ["status", "sid", "event", "problem"]
        assert whole["status"] == "created"
        assert whole["sid"] == event["sid"]
        assert whole["problem"] is None
        assert list(whole["event"]) == FIELDS
        assert whole["event"] == {name: event.get(name) for name in FIELDS}

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            (("--version", "v2.3.1", "--to", "production"), "Deploy v2.3.1 to production"),
            (("--to", "production", "--status", "failure"), "Failed deploy to production"),
            (("--version", "v2", "--status", "cancelled"), "Cancelled deploy v2"),
            (("--name", "Ship it", "--to", "production", "--status", "failure"), "Ship it"),
        ],
    )
    def test_a_deployment_is_named_by_what_is_known(
        self, api: LocalApi, events: Events, options: tuple[str, ...], name: str
    ) -> None:
        assert answer(events("create", "--json", *options))["event"]["name"] == name

    def test_what_cannot_be_an_event_is_wrong_usage(self, api: LocalApi, events: Events) -> None:
        for options, words in {
            ("--type", "incident"): "--name",
            (): "--from-ci",
            ("--name", " \n"): "name is empty",
            ("--name", "x", "--metadata", "ticket"): "'ticket' is not of the form NAME=VALUE",
            ("--name", "x", "--started-at", "last week"): "2026-01-10T10:05:00Z",
            ("--name", "x", "--bucket", "Nope"): "no bucket 'Nope'; there are: Checkout API,",
            ("--name", "x", "--environments", "Nope"): "no environment 'Nope'; there are: development,",
            ("--name", "x", "--from-ci"): "not a job of GitHub Actions, GitLab, Jenkins",
        }.items():
            result = events("create", *options)
            assert result.exit_code == 2, result.output
            assert words in " ".join(result.stderr.split())
        assert listed(api) == []

    def test_a_bucket_that_is_gone_stops_no_deploy(self, api: LocalApi, events: Events) -> None:
        result = events("create", "--name", "x", "--bucket", "Gone", "--on-error", "warn", "--json")
        assert answer(result)["status"] == "failed"
        assert result.stderr.startswith("ApiTraffic: there is no bucket 'Gone'; there are: Checkout API,")
        assert listed(api) == []

    def test_a_dry_run_sends_nothing_and_needs_no_token(self, api: LocalApi, events: Events) -> None:
        result = events("create", "--to", "prod", "--bucket", "Any", "--dry-run", APITRAFFIC_API_TOKEN="")
        event = answer(result)
        assert event["name"] == "Deploy to prod"
        assert event["buckets"] == ["Any"]
        assert answer(events("create", "--to", "prod", "--dry-run", "--json"))["status"] == "skipped"
        assert listed(api) == []

    def test_hostile_text_forges_no_line(self, api: LocalApi, events: Events) -> None:
        result = events("create", "--name", "Deploy\n::error::\x1b[31mowned\u202e", "--description", "a\nb")
        assert len(result.stdout.splitlines()) == 1
        assert "\x1b" not in result.stdout
        assert listed(api)[0]["description"] == "a\nb"


class TestCreateOnce:
    def test_the_same_key_twice_is_one_event(self, api: LocalApi, events: Events) -> None:
        first = answer(events("create", "--marker-key", "flag:1", "--name", "Flag on", "--json"))
        again = answer(
            events(
                "create", "--marker-key", "flag:1", "--name", "Flag on for all", "--metadata", "a=b", "--json"
            )
        )
        (event,) = listed(api)
        assert (first["status"], again["status"]) == ("created", "updated")
        assert first["sid"] == again["sid"] == event["sid"]
        assert event["name"] == "Flag on for all"
        assert event["metadata"] == {"marker_key": "flag:1", "a": "b"}
        assert event["startedAt"] == first["event"]["startedAt"]

    def test_of_the_same_moment_it_is_so_for_ever(self, api: LocalApi, events: Events) -> None:
        flag = ("create", "--marker-key", "flag:1", "--name", "On", "--started-at", "2026-01-10", "--json")
        assert [answer(events(*flag))["status"] for _ in range(3)] == ["created", "updated", "updated"]
        assert len(listed(api)) == 1

    @pytest.mark.parametrize(
        "fault", ["POST:dropx1", "POST:status=500x1", "POST:status=429x1", "POST:refusex1"]
    )
    def test_a_lost_answer_makes_no_second_event(self, api: LocalApi, events: Events, fault: str) -> None:
        api.set_faults([fault])
        whole = answer(events("create", "--name", "Cache cleared", "--json"))
        (event,) = listed(api)
        assert whole["status"] == "created"
        assert whole["sid"] == event["sid"]

    def test_a_refusal_is_not_tried_again(self, api: LocalApi, events: Events) -> None:
        api.set_faults(["POST:status=422x1"])
        before = api.requests().get("POST", {})
        assert events("create", "--name", "Cache cleared").exit_code == 4
        after = api.requests()["POST"]
        assert sum(after.values()) - sum(before.values()) == 1

    def test_a_deploy_that_a_webhook_told_of_is_found_and_completed(
        self, api: LocalApi, events: Events
    ) -> None:
        key = "github:acme/shop:deployment:4242"
        sid = made(
            api,
            "Deploy acme/shop v2.3.1 to production",
            type="deployment",
            description="Succeeded after 3 min.",
            metadata={
                "repository": "acme/shop",
                "run_id": "27",
                "run_attempt": "2",
                "environment": "production",
                "marker_key": key,
            },
        )
        result = events("create", "--from-ci", "--to", "production", "--metadata", "ticket=OPS-7", **GITHUB)
        (event,) = listed(api)
        assert result.stdout == f"updated  {sid}  Deploy acme/shop v2.3.1 to production\n"
        assert event["metadata"]["marker_key"] == key
        assert event["metadata"]["ticket"] == "OPS-7"
        assert event["metadata"]["actor"] == "alice"
        assert event["description"] == "Succeeded after 3 min."

    def test_a_deploy_of_this_job_is_found_by_the_jobs_id(self, api: LocalApi, events: Events) -> None:
        known = {"run_id": "27", "run_attempt": "2", "environment": "production"}
        key = "github:deployment:{}"
        for number in ("5", "6"):
            facts = known | {"check_run_id": number, "marker_key": key.format(number)}
            made(api, f"Deploy {number}", type="deployment", metadata=facts)
        for _ in range(2):
            result = events(
                "create", "--from-ci", "--to", "Production", "--json", JOB_CHECK_RUN_ID="6", **GITHUB
            )
            assert answer(result)["status"] == "updated"
        found = {event["metadata"]["marker_key"]: event for event in listed(api)}
        assert set(found) == {key.format("5"), key.format("6")}
        assert found[key.format("6")]["metadata"]["joined_by"] == "github:job:6:production"
        assert found[key.format("5")]["name"] == "Deploy 5"

    @pytest.mark.parametrize(
        "more",
        [
            [{"check_run_id": "5"}, {"check_run_id": "6"}],
            [{"joined_by": "github:run:27:2:production:job:0123456789abcdef"}],
            [{"status": "success"}],
            [{"marker_key": "mine"}],
            [{"run_url": "https://ghes.example.test/acme/shop/actions/runs/27"}],
        ],
        ids=["of two jobs", "joined", "over", "of another plugin", "on another host"],
    )
    def test_by_the_run_alone_it_is_found_only_if_nothing_speaks_against_it(
        self, api: LocalApi, events: Events, more: list[dict[str, str]]
    ) -> None:
        known = {"run_id": "27", "run_attempt": "2", "environment": "production"}
        for number, facts in enumerate(more):
            key = {"marker_key": f"github:deployment:{number}"}
            made(api, "By a webhook", type="deployment", metadata=known | key | facts)
        result = events("create", "--from-ci", "--to", "production", "--json", **GITHUB)
        assert answer(result)["status"] == "created"

    @pytest.mark.parametrize("other", [{"run_attempt": "1"}, {"environment": "staging"}, {"run_id": "28"}])
    def test_another_deploy_is_another_event(
        self, api: LocalApi, events: Events, other: dict[str, str]
    ) -> None:
        same = {"repository": "acme/shop", "run_id": "27", "run_attempt": "2", "environment": "production"}
        made(api, "Deploy", type="deployment", metadata=same | other)
        assert (
            answer(events("create", "--from-ci", "--to", "production", "--json", **GITHUB))["status"]
            == "created"
        )
        assert len(listed(api)) == 2

    @pytest.mark.parametrize(
        ("key", "status"),
        [("", "updated"), (":production", "updated"), ("#2:production", "created"), (":event:x", "created")],
    )
    def test_a_jenkins_deploy_is_the_one_of_its_builds_webhook_and_no_other_of_the_build(
        self, api: LocalApi, events: Events, key: str, status: str
    ) -> None:
        url = "https://ci.example.com/job/shop/12"
        jenkins = {"JENKINS_URL": "https://ci.example.com/", "BUILD_URL": f"{url}/"}
        metadata = {"run_url": url, "environment": "production", "marker_key": f"jenkins:{url}{key}"}
        made(api, "Deploy", type="deployment", metadata=metadata)
        whole = answer(events("create", "--from-ci", "--to", "production", "--json", **jenkins))
        assert whole["status"] == status

    def test_from_ci_takes_what_is_not_given(self, api: LocalApi, events: Events) -> None:
        events("create", "--from-ci", "--to", "production", "--metadata", "actor=bot", **GITHUB)
        (event,) = listed(api)
        assert event["name"] == "Deploy acme/shop v2.3.1 to production"
        assert event["source"] == "github_actions"
        assert event["metadata"]["marker_key"] == "github:run:27:2:production"
        assert event["metadata"]["actor"] == "bot"
        assert event["metadata"]["short_commit"] == "0123abc"
        assert event["metadata"]["version"] == "v2.3.1"


class TestWhatRanBefore:
    """tests/vectors/previous.json has the rules."""

    def deployed(self, api: LocalApi, version: str, hours_ago: int, **fields: Any) -> str:
        metadata = {"repository": "acme/shop", "environment": "production", "status": "success"}
        return made(
            api,
            f"Deploy acme/shop {version} to production",
            type="deployment",
            startedAt=format_timestamp(now() - timedelta(hours=hours_ago)),
            metadata=metadata | {"version": version},
            **fields,
        )

    def create(self, events: Events, *options: str, **variables: str) -> dict[str, Any]:
        known = ("--from-ci", "--to", "production", "--status", "success", "--json")
        created: dict[str, Any] = answer(events("create", *known, *options, **GITHUB | variables))["event"]
        return created

    def test_a_deploy_of_an_earlier_version_is_a_rollback(self, api: LocalApi, events: Events) -> None:
        self.deployed(api, "v2.3.1", 5)
        self.deployed(api, "v2.4.0", 2)
        event = self.create(events)
        assert event["name"] == "Roll back acme/shop to v2.3.1 in production"
        assert event["description"] == "Rollback to v2.3.1 from v2.4.0, deployed 2 h earlier."
        assert event["metadata"]["previous_version"] == "v2.4.0"
        assert event["metadata"]["course"] == "rollback"

    def test_a_name_that_was_given_stays(self, api: LocalApi, events: Events) -> None:
        self.deployed(api, "v2.3.1", 5)
        self.deployed(api, "v2.4.0", 2)
        event = self.create(events, "--name", "Deploy acme/shop v2.3.1 to production")
        assert event["name"] == "Deploy acme/shop v2.3.1 to production"
        assert event["metadata"]["course"] == "rollback"

    def test_it_can_be_switched_off(self, api: LocalApi, events: Events) -> None:
        self.deployed(api, "v2.4.0", 2)
        event = self.create(events, "--no-previous")
        assert event["description"] is None
        assert "previous_version" not in event["metadata"]

    @pytest.mark.parametrize("fault", ["status=500", "status=403", "status=429", "hang=5", "drop"])
    def test_a_list_that_cannot_be_had_is_asked_for_once_and_changes_nothing(
        self, api: LocalApi, events: Events, fault: str
    ) -> None:
        self.deployed(api, "v2.4.0", 2)
        api.set_faults([f"GET:{fault}x1"])
        event = self.create(events, "--timeout", "2", "--marker-key", "mine")
        assert event["name"] == "Deploy acme/shop v2.3.1 to production"
        assert "previous_version" not in event["metadata"]

    def test_an_api_without_filters_is_understood(self, api: LocalApi, events: Events) -> None:
        self.deployed(api, "v2.4.0", 2)
        made(api, "Something else")
        api.set_faults(["unfiltered"])
        assert self.create(events)["metadata"]["previous_version"] == "v2.4.0"

    def test_an_event_that_exists_keeps_its_description_and_has_the_line_once(
        self, api: LocalApi, events: Events
    ) -> None:
        self.deployed(api, "v2.4.0", 2)
        sid = self.deployed(api, "v2.3.1", 0, description="By a webhook.")
        key = {"metadata": {"marker_key": "mine", "repository": "acme/shop", "environment": "production"}}
        api.call("PATCH", f"/events/{sid}", json=key)
        for _ in range(2):
            event = self.create(events, "--marker-key", "mine")
        assert event["sid"] == sid
        assert event["description"] == "By a webhook.\nBefore: v2.4.0, deployed 2 h earlier."


class TestExitCodes:
    @pytest.mark.parametrize(
        ("variables", "faults", "code", "words"),
        [
            (
                {"APITRAFFIC_API_TOKEN": ""},
                (),
                3,
                "ApiTraffic is not configured: APITRAFFIC_API_TOKEN is not set",
            ),
            ({"APITRAFFIC_ACCOUNT_SID": ""}, (), 3, "ApiTraffic is not configured: APITRAFFIC_ACCOUNT_SID"),
            ({"APITRAFFIC_API_URL": "ftp://x"}, (), 3, "ApiTraffic is not configured: APITRAFFIC_API_URL"),
            ({"APITRAFFIC_API_TOKEN": "wrong"}, (), 4, "ApiTraffic refused the event: 401 INVALID_TOKEN"),
            ({}, ("POST:status=403",), 4, "ApiTraffic refused the event: 403"),
            ({}, ("POST:status=422",), 4, "ApiTraffic refused the event: 422"),
            ({}, ("POST:status=503",), 5, "ApiTraffic could not be reached: "),
            ({"APITRAFFIC_API_URL": NOWHERE}, (), 5, "ApiTraffic could not be reached: no answer"),
        ],
    )
    @pytest.mark.parametrize("on_error", ["fail", "warn"])
    def test_each_says_what_to_do(
        self,
        api: LocalApi,
        events: Events,
        variables: dict[str, str],
        faults: tuple[str, ...],
        code: int,
        words: str,
        on_error: str,
    ) -> None:
        api.set_faults(list(faults))
        result = events(
            *("create", "--name", "x", "--timeout", "0.3", "--json", "--on-error", on_error), **variables
        )
        assert result.exit_code == (code if on_error == "fail" else 0)
        error = "Error: " if on_error == "fail" else ""
        assert result.stderr.startswith(f"{error}{words}")
        assert len(result.stderr.splitlines()) == 1
        whole = json.loads(result.stdout)
        assert whole["status"] == ("skipped" if code == 3 else "failed")
        assert whole["event"]["name"] == "x"
        assert f"{error}{whole['problem']}" == result.stderr.strip()

    def test_reading_fails_in_the_same_ways(self, api: LocalApi, events: Events) -> None:
        assert events("get", "evt_none").exit_code == 4
        assert "404 RESOURCE_NOT_FOUND" in events("get", "evt_none").stderr
        assert events("list", APITRAFFIC_API_TOKEN="").exit_code == 3
        assert events("list", "--timeout", "0.3", APITRAFFIC_API_URL=NOWHERE).exit_code == 5

    @pytest.mark.parametrize("command", [("list",), ("get", "evt_1")])
    @pytest.mark.parametrize("url", [NOWHERE, "http://no.such.host.invalid/v1"])
    def test_reading_gives_up_at_once_if_there_is_no_connection(
        self, events: Events, command: tuple[str, ...], url: str
    ) -> None:
        result = events(*command, "--timeout", "3600", APITRAFFIC_API_URL=url)
        assert result.exit_code == 5
        assert result.stderr.startswith("Error: ApiTraffic could not be reached: no answer")
        assert "Errno" not in result.stderr
        assert result.stderr.endswith("; check APITRAFFIC_API_URL, and whether this host may connect to it\n")

    def test_reading_shows_that_it_is_trying_again(self, api: LocalApi, events: Events) -> None:
        sid = made(api, "x")
        api.set_faults(["GET:status=503x1"])
        result = events("get", sid, "--json")
        assert json.loads(result.stdout)["name"] == "x"
        assert result.stderr.startswith("ApiTraffic is tried again: INTERNAL_ERROR 503 ")
        assert len(result.stderr.splitlines()) == 1

    def test_a_broken_configuration_file_stops_no_deploy(self, run: Command, events: Events) -> None:
        run.write("apitraffic.toml", "[delivery")
        result = events("create", "--name", "x", "--on-error", "warn")
        assert result.exit_code == 0
        assert result.stderr.startswith(f"{NOT_CONFIGURED}apitraffic.toml is not valid TOML")


class TestFormerName:
    """`--environment` was the charts' environment here, and is where it is deployed to in the CI plugins."""

    def test_it_still_works_and_says_what_it_is_called_now(self, api: LocalApi, events: Events) -> None:
        result = events("create", "--name", "x", "--environment", "staging", "--environments", "env123")
        assert result.exit_code == 0
        assert result.stderr == (
            "--environment is now --environments, as in the CI plugins; where it is deployed to is --to.\n"
        )
        (event,) = listed(api)
        assert set(event["environments"]) == {"env456", "env123"}
        found = events("list", "--environment", "env456", "--json")
        assert len(found.stdout.splitlines()) == 1
        assert found.stderr.startswith("--environment is now --environments")

    def test_it_is_in_no_help(self, run: Command) -> None:
        for command in ("create", "update", "list"):
            text = run("events", command, "--help").stdout
            assert "--environments NAME" in text
            assert "--environment " not in text


class TestList:
    @pytest.fixture
    def history(self, api: LocalApi) -> None:
        for name, ago, fields in (
            ("old", timedelta(days=3), {"type": "scale"}),
            ("closed", timedelta(hours=5), {"endedAt": format_timestamp(now() - timedelta(hours=4))}),
            ("checkout", timedelta(hours=1), {"buckets": ["bkt_checkout0000000000000000000"]}),
            ("staging", timedelta(minutes=1), {"type": "custom", "environments": ["env456"]}),
        ):
            made(api, name, startedAt=format_timestamp(now() - ago), **fields)

    @pytest.fixture
    def names(self, history: None, events: Events) -> Callable[..., list[str]]:
        def call(*options: str) -> list[str]:
            result = events("list", "--json", *options)
            assert result.exit_code == 0, result.output
            return [json.loads(line)["name"] for line in result.stdout.splitlines()]

        return call

    def test_filters(self, names: Callable[..., list[str]]) -> None:
        assert names() == ["staging", "checkout", "closed", "old"]
        assert names("--type", "scale") == ["old"]
        assert names("--since", "2h") == ["staging", "checkout"]
        assert names("--since", "6h", "--until", "90m") == ["closed"]
        assert names("--since", format_timestamp(now() - timedelta(minutes=30))) == ["staging"]
        assert "old" not in names("--since", "yesterday")
        assert names("--since", "6h", "--bucket", "Payments API") == ["staging", "closed"]
        assert names("--bucket", "bkt_checkout0000000000000000000", "--until", "2m", "--since", "6h") == [
            "checkout",
            "closed",
        ]
        assert "staging" not in names("--environments", "production")
        assert "staging" in names("--environments", "env456")
        assert names("--limit", "1") == ["staging"]

    @pytest.mark.parametrize("fault", ["renamed", "unfiltered"])
    def test_filters_that_the_api_does_not_know_hold_here(
        self, api: LocalApi, names: Callable[..., list[str]], fault: str
    ) -> None:
        api.set_faults([fault])
        assert names("--type", "scale") == ["old"]
        assert names("--since", "2h") == ["staging", "checkout"]
        assert names("--since", "6h", "--until", "90m") == ["closed"]
        assert names("--since", "6h", "--bucket", "Payments API") == ["staging", "closed"]
        assert names("--type", "scale", "--limit", "1") == ["old"]

    def test_json_lines_are_what_is_documented(self, api: LocalApi, history: None, events: Events) -> None:
        first = json.loads(events("list", "--json").stdout.splitlines()[0])
        assert list(first) == FIELDS
        assert first == {name: listed(api)[0].get(name) for name in FIELDS}

    def test_in_a_pipe_columns_are_two_spaces_apart(self, history: None, events: Events) -> None:
        result = events("list")
        heading, *rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
        assert heading == ["STARTED", "AGE", "ENDED", "TYPE", "SOURCE", "SID", "NAME"]
        assert [row[-1] for row in rows] == ["staging", "checkout", "closed", "old"]
        assert [row[1] for row in rows] == ["1m", "60m", "5h", "3d"]
        assert all(STAMP.fullmatch(row[0]) for row in rows)
        assert STAMP.fullmatch(rows[2][2])
        assert rows[0][2] == "-"
        assert "\x1b" not in result.output

    def test_all_pages_are_read_and_each_event_once(self, api: LocalApi, events: Events) -> None:
        for number in range(105):
            made(api, f"number {number}")
        lines = events("list", "--all", "--json").stdout.splitlines()
        assert len({json.loads(line)["sid"] for line in lines}) == len(lines) == 105
        assert len(events("list", "--limit", "103", "--json").stdout.splitlines()) == 103
        assert len(events("list", "--all").stdout.splitlines()) == 106
        for number in range(5):
            api.call("DELETE", f"/events/{json.loads(lines[number])['sid']}")

    def test_nothing_is_said_apart_from_what_scripts_read(self, api: LocalApi, events: Events) -> None:
        result = events("list")
        assert result.stdout == ""
        assert result.stderr == "No events match.\n"
        assert events("list", "--json").stdout == ""

    def test_wrong_usage(self, api: LocalApi, events: Events) -> None:
        assert events("list", "--all", "--watch").exit_code == 2
        assert events("list", "--since", "when").exit_code == 2
        assert events("list", "--bucket", "Nope").exit_code == 2


class TestGetUpdateCloseDelete:
    def test_get_shows_all_of_it(self, api: LocalApi, events: Events) -> None:
        began = format_timestamp(now() - timedelta(hours=2))
        sid = made(api, description="Latency\nabove 2 s", startedAt=began, metadata={"ticket": "OPS-7"})
        lines = events("get", sid).stdout.splitlines()
        assert "Name          Checkout is slow" in lines
        assert f"Started       {began}  open for 2 h" in lines
        assert lines[lines.index("Description   Latency") + 1].split() == ["above", "2", "s"]
        assert "  ticket      OPS-7" in lines
        assert list(answer(events("get", sid, "--json"))) == FIELDS

    def test_update_changes_what_is_given(self, api: LocalApi, events: Events) -> None:
        sid = made(api, description="as it was", metadata={"ticket": "OPS-7", "team": "checkout"})
        result = events("update", sid, "--name", "Slower", "--metadata", "team=", "--metadata", "a=b")
        (event,) = listed(api)
        assert result.stdout == f"updated  {sid}  Slower\n"
        assert event["metadata"] == {"ticket": "OPS-7", "a": "b"}
        assert event["description"] == "as it was"
        assert answer(events("update", sid, "--bucket", "Search API", "--json"))["event"]["buckets"] == [
            "bkt_search000000000000000000000"
        ]
        assert events("update", sid).exit_code == 2

    def test_an_incident_is_closed_and_reopened(self, api: LocalApi, events: Events) -> None:
        sid = made(api, description="Latency above 2 s")
        closed = answer(events("close", sid, "--description", "Rolled back.", "--json"))
        assert closed["status"] == "updated"
        assert closed["event"]["description"] == "Latency above 2 s\nRolled back."
        ended = datetime.fromisoformat(closed["event"]["endedAt"])
        assert timedelta() <= now() - ended < timedelta(minutes=1)
        again = answer(events("close", sid, "--description", "Rolled back.", "--json"))
        assert again["status"] == "unchanged"
        assert again["event"] == closed["event"]
        corrected = answer(events("close", sid, "--ended-at", "2099-01-01", "--json"))
        assert corrected["event"]["endedAt"] == "2099-01-01T00:00:00.000Z"
        assert answer(events("update", sid, "--reopen", "--json"))["event"]["endedAt"] is None

    def test_closing_keeps_how_it_ended_when_the_description_is_already_long(
        self, api: LocalApi, events: Events
    ) -> None:
        sid = made(api, description="Latency above 2 s. " * 105)
        description = answer(events("close", sid, "--description", "Rolled back.", "--json"))["event"][
            "description"
        ]
        assert description.startswith("Latency above 2 s.")
        assert description.endswith("…\nRolled back.")
        assert len(description) <= 2_000

    def test_a_dry_run_changes_nothing(self, api: LocalApi, events: Events) -> None:
        sid = made(api)
        before = listed(api)
        assert answer(events("update", sid, "--name", "x", "--dry-run")) == {"name": "x"}
        assert list(answer(events("close", sid, "--dry-run"))) == ["endedAt"]
        assert answer(events("delete", sid, "--dry-run"))["sid"] == sid
        assert answer(events("delete", sid, "--dry-run", "--json"))["status"] == "skipped"
        assert listed(api) == before

    def test_delete_asks_for_a_word_where_nobody_can_be_asked(self, api: LocalApi, events: Events) -> None:
        sid = made(api)
        refused = events("delete", sid)
        assert refused.exit_code == 2
        assert "--yes" in refused.stderr
        assert events("delete", sid, "--yes").stdout == f"deleted  {sid}\n"
        assert listed(api) == []
        assert events("delete", sid, "--yes").exit_code == 4

    def test_a_delete_whose_answer_was_lost_is_done(self, api: LocalApi, events: Events) -> None:
        sid = made(api)
        api.set_faults(["DELETE:dropx1"])
        assert answer(events("delete", sid, "--yes", "--json")) == {
            "status": "deleted",
            "sid": sid,
            "event": None,
            "problem": None,
        }
        assert listed(api) == []

    def test_an_api_that_changes_with_put_will_do(self, api: LocalApi, events: Events) -> None:
        sid = made(api)
        api.set_faults(["PATCH:status=405"])
        assert answer(events("close", sid, "--json"))["event"]["endedAt"] is not None


class TestAsAProcess:
    def test_watch_prints_what_is_new_or_has_changed(
        self, api: LocalApi, environment: dict[str, str], tmp_path: Path
    ) -> None:
        first = made(api, "first")
        output = tmp_path / "output"
        with (
            output.open("wb") as file,
            started(
                [sys.executable, "-m", "receiver", "events", "list", "--watch", "--every", "0.1", "--json"],
                env={"PATH": os.defpath, **environment},
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):

            def printed() -> list[tuple[str, bool]]:
                events = map(json.loads, output.read_text().splitlines())
                return [(event["name"], event["endedAt"] is not None) for event in events]

            wait_until(lambda: printed() == [("first", False)], "the first event")
            api.set_faults(["GET:status=500x1"])
            made(api, "second")
            wait_until(lambda: printed()[1:] == [("second", False)], "the second event")
            api.call("PATCH", f"/events/{first}", json={"endedAt": "2099-01-01T00:00:00.000Z"})
            wait_until(lambda: printed()[2:] == [("first", True)], "the end of the first")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in errors

    def test_on_a_terminal_it_is_a_table_and_asks_before_it_deletes(
        self, api: LocalApi, environment: dict[str, str]
    ) -> None:
        sid = made(api, startedAt=format_timestamp(now() - timedelta(hours=2)))
        shown = on_a_terminal("events", "list", environment=environment)
        assert "open for 2 h" in shown
        assert "Checkout is slow" in shown
        assert "\x1b[1" in shown
        assert "\x1b[" not in on_a_terminal("events", "list", environment=environment | {"TERM": "dumb"})
        kept = on_a_terminal("events", "delete", sid, environment=environment, typed="n\n")
        assert "Delete it? [y/N]" in kept
        assert len(listed(api)) == 1
        assert f"deleted  {sid}" in on_a_terminal(
            "events", "delete", sid, environment=environment, typed="y\n"
        )
        assert listed(api) == []


def on_a_terminal(*arguments: str, environment: dict[str, str], typed: str = "") -> str:
    """What a person would see of this command, 100 columns wide."""
    controller, terminal = os.openpty()
    with started(
        [sys.executable, "-m", "receiver", *arguments],
        env={"PATH": os.defpath, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        os.write(controller, typed.encode())
        shown = shown_on(controller)
        process.wait(timeout=20)
    return shown
