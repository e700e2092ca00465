"""`apitraffic-events events check`: what a pipeline learns of its deploy, and that it is in nobody's way."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from click.testing import Result

from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.events import checking
from tests.support.command import Command
from tests.support.local_api import LocalApi, running_local_api

ENDED: Final = now().replace(microsecond=0) - timedelta(hours=2)
KEY: Final = "github:deployment:4242"
BUCKET: Final = "bkt_checkout0000000000000000000"
LINE: Final = "15 min after: errors 0.3 % → 2.1 %, mean response 145 → 310 ms, 1 k requests"

Check = Callable[..., Result]


def minutes(number: float) -> datetime:
    return ENDED + timedelta(minutes=number)


def traffic(at: datetime, errors: int, average: float, **more: Any) -> dict[str, Any]:
    shared = {"requests": 1_000, "errors": errors, "average": average}
    return {"timestamp": format_timestamp(at), **shared, **more}


TRAFFIC: Final = [
    # The deploy took two minutes, whose traffic counts on neither side; nor does what is farther away.
    *(traffic(minutes(-30), 900, 9), traffic(minutes(-10), 3, 145), traffic(minutes(-1), 900, 9)),
    *(traffic(minutes(0), 21, 310), traffic(minutes(15), 900, 9)),
]


@pytest.fixture(scope="module")
def one_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(one_api: LocalApi) -> LocalApi:
    """Without events and faults, and with the traffic of a bad deploy."""
    one_api.set_faults([])
    for event in one_api.call("GET", "/events?limit=100").json()["records"]:
        one_api.call("DELETE", f"/events/{event['sid']}")
    one_api.set_traffic(TRAFFIC)
    return one_api


@pytest.fixture
def check(run: Command, api: LocalApi) -> Check:
    environment = {
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }

    def call(*arguments: str, **variables: str) -> Result:
        result = run("events", "check", *arguments, environment=environment | variables)
        assert "Traceback" not in result.output
        return result

    return call


def deployed(api: LocalApi, **fields: Any) -> str:
    """The SID of a deploy of acme/shop that ended then."""
    facts = {"marker_key": KEY, "repository": "acme/shop", "environment": "production", "status": "success"}
    event = {
        "type": "deployment",
        "name": "Deploy acme/shop v2.3.1 to production",
        "startedAt": format_timestamp(minutes(-2)),
        "endedAt": format_timestamp(ENDED),
        **fields,
        "metadata": facts | fields.get("metadata", {}),
    }
    created = api.call("POST", "/events", json=event)
    assert created.ok, created.text
    return str(created.json()["sid"])


def test_it_compares_the_traffic_before_the_deploy_with_that_after_it(api: LocalApi, check: Check) -> None:
    sid = deployed(api)
    for name in (KEY, sid):
        result = check(name)
        assert (result.exit_code, result.stdout) == (0, f"worse  {LINE}\n")


def test_json_is_what_is_documented(api: LocalApi, check: Check) -> None:
    sid = deployed(api)
    assert json.loads(check(KEY, "--json").stdout) == {
        "verdict": "worse",
        "line": LINE,
        "sid": sid,
        "endedAt": format_timestamp(ENDED),
        "problem": None,
    }


@pytest.mark.parametrize(
    ("fail_on", "exit_code"), [((), 0), (("unknown",), 0), (("worse",), 1), (("unknown", "worse"), 1)]
)
def test_it_fails_only_if_it_is_asked_to(
    api: LocalApi, check: Check, fail_on: tuple[str, ...], exit_code: int
) -> None:
    deployed(api)
    assert check(KEY, *(f"--fail-on={word}" for word in fail_on)).exit_code == exit_code


def test_a_point_is_a_deploy_that_took_no_time(api: LocalApi, check: Check) -> None:
    deployed(api, startedAt=format_timestamp(ENDED), endedAt=None)
    assert "errors 45 % → 2.1 %, mean response 77 → 310 ms, 1 k requests" in check(KEY).stdout


def test_the_length_and_the_thresholds_are_those_of_the_settings(
    api: LocalApi, check: Check, run: Command
) -> None:
    deployed(api)
    run.write("apitraffic.toml", "[verdict]\nafter = 30\nfewest_requests = 5000")
    assert check(KEY).stdout == (
        "unknown  30 min after: 2 k requests (2 k before): too little traffic to compare\n"
    )
    assert check(KEY, "--after", "15m").stdout.startswith("unknown  15 min after: 1 k requests (1 k before)")


def test_only_the_traffic_of_the_bucket_and_environment_counts(api: LocalApi, check: Check) -> None:
    deployed(api, buckets=[BUCKET], environments=["env123"])
    scope = {"bucketSid": BUCKET, "environmentSid": "env123"}
    api.set_traffic([*TRAFFIC, traffic(minutes(-10), 5, 100, **scope), traffic(minutes(3), 5, 100, **scope)])
    assert check(KEY).stdout.startswith(
        "same  15 min after: errors 0.5 % → 0.5 %, mean response 100 → 100 ms"
    )


def test_a_verdict_that_the_marker_has_is_taken_and_costs_nothing(api: LocalApi, check: Check) -> None:
    said = "15 min after: not compared, an incident began 4 min later"
    deployed(api, description=f"by alice\n{said}", metadata={"verdict": "unknown"})
    before = api.requests()["GET"]["200"]
    assert check(KEY, "--after", "15m").stdout == f"unknown  {said}\n"
    assert api.requests()["GET"]["200"] - before == 1
    assert check(KEY, "--after", "10m").stdout.startswith("worse  10 min after: ")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"type": "incident", "startedAt": format_timestamp(minutes(4))},
            "unknown  15 min after: not compared, an incident began 4 min later\n",
        ),
        (
            {
                "startedAt": format_timestamp(minutes(-9)),
                "endedAt": None,
                "metadata": {"repository": "acme/api"},
            },
            "unknown  15 min after: not compared, acme/api was deployed 9 min earlier\n",
        ),
        (
            {"startedAt": format_timestamp(minutes(4)), "metadata": {"environment": "staging"}},
            f"worse  {LINE}\n",
        ),
        ({"type": "incident", "startedAt": format_timestamp(minutes(-4))}, f"worse  {LINE}\n"),
    ],
    ids=["incident", "deploy", "elsewhere", "earlier incident"],
)
def test_what_else_happened_meanwhile_is_said_in_place_of_a_comparison(
    api: LocalApi, check: Check, other: dict[str, Any], said: str
) -> None:
    deployed(api)
    deployed(
        api, **{"endedAt": None, **other, "metadata": {**other.get("metadata", {}), "marker_key": "other:1"}}
    )
    assert check(KEY).stdout == said


@pytest.mark.parametrize(
    ("fields", "faults", "arguments", "exit_code", "said"),
    [
        ({}, ["metrics=403"], (), 1, "There are no figures: the API token may not read metrics"),
        ({}, ["metrics=404"], (), 1, "There are no figures: the API has no metrics"),
        ({}, ["metrics=503"], ("--timeout=0.1",), 5, "ApiTraffic could not be reached: "),
        ({"metadata": {"status": "cancelled"}}, [], (), 1, "was called off"),
        ({"type": "scale"}, [], (), 1, "is no deployment"),
        (
            {"metadata": {"marker_key": "another:1"}},
            [],
            ("--timeout=0.1",),
            4,
            f"has no event {KEY} of the last",
        ),
        (
            {"endedAt": None, "metadata": {"status": "in_progress"}},
            [],
            ("--no-wait",),
            1,
            "has not ended yet",
        ),
        (
            {"endedAt": format_timestamp(now() + timedelta(hours=1))},
            [],
            ("--no-wait",),
            1,
            "leave out --no-wait to wait for it",
        ),
    ],
)
def test_whatever_is_missing_is_in_the_way_only_if_that_is_asked_for(
    api: LocalApi,
    check: Check,
    fields: dict[str, Any],
    faults: list[str],
    arguments: tuple[str, ...],
    exit_code: int,
    said: str,
) -> None:
    deployed(api, **fields)
    api.set_faults(faults)
    plain = check(KEY, *arguments)
    assert (plain.exit_code, plain.stdout) == (0, "")
    assert said in plain.stderr
    strict = check(KEY, *arguments, "--fail-on", "unknown", "--json")
    assert strict.exit_code == exit_code
    assert json.loads(strict.stdout)["verdict"] == "unknown"
    assert said in json.loads(strict.stdout)["problem"]


def test_what_is_neither_a_sid_nor_a_key_is_told_what_it_takes(check: Check) -> None:
    takes = "give a deployment's SID (evt_…) or its marker's key, such as github:deployment:4242"
    assert takes in check("nonsense", "--no-wait").stderr
    assert takes not in check("github:deployment:0", "--no-wait").stderr


def test_without_a_token_it_is_in_nobodys_way_either(check: Check) -> None:
    plain = check(KEY, APITRAFFIC_API_TOKEN="")
    assert plain.exit_code == 0
    assert plain.stderr.startswith("ApiTraffic is not configured: ")
    assert check(KEY, "--fail-on", "unknown", APITRAFFIC_API_TOKEN="").exit_code == 3


def test_a_wrong_setting_of_verdicts_is_said_and_others_do_not_matter(
    api: LocalApi, check: Check, run: Command
) -> None:
    deployed(api)
    run.write("apitraffic.toml", "[verdict]\nafter = 300")
    assert "verdict.after is at most 240" in check(KEY).stderr
    run.write("apitraffic.toml", "[delivery]\nsettle = 0")
    assert check(KEY).stdout == f"worse  {LINE}\n"


@pytest.mark.parametrize("after", ["15", "30s", "5h", "soon"])
def test_a_length_that_is_none_is_wrong_usage(check: Check, after: str) -> None:
    assert check(KEY, "--after", after).exit_code == 2


def test_it_says_that_it_waits_and_then_looks_again(
    api: LocalApi, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the command stands before the end of the period, and the sleep moves it on."""
    moment = [minutes(10)]

    def sleep(seconds: float) -> None:
        api.call("PATCH", f"/events/{sid}", json={"metadata": {"verdict": "same"}, "description": said})
        moment[0] += timedelta(seconds=seconds)

    said = "15 min after: errors 0.3 % → 0.3 %, mean response 145 → 145 ms, 1 k requests"
    sid = deployed(api)
    monkeypatch.setattr(checking, "now", lambda: moment[0])
    monkeypatch.setattr(time, "sleep", sleep)
    result = check(sid)
    assert result.stdout == f"same  {said}\n"
    assert (
        f"15 min after the end of the deploy is at {format_timestamp(minutes(16))}. Waiting" in result.stderr
    )
    assert moment[0] == minutes(16)
