"""`apitraffic-events what-changed` against the local Events API."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from click.testing import Result
from rich.console import Console
from rich.text import Text

from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.insight import what_changed
from tests.support.command import Command
from tests.support.local_api import LocalApi, running_local_api

MOMENT: Final = now().replace(second=0, microsecond=0) - timedelta(hours=2, minutes=30)
"""Hours are told in whole ones, so this stays "2 h" ago for half an hour, however long the tests take."""
LINE: Final = "15 min after: errors 0.3 % → 2.1 %, mean response 145 → 310 ms, 1.2 k requests"
COMPARE: Final = f"https://github.com/acme/shop/compare/{'1' * 40}...{'2' * 40}"

Ask = Callable[..., Result]


def at(minutes: float) -> str:
    return format_timestamp(MOMENT + timedelta(minutes=minutes))


@pytest.fixture(scope="module")
def one_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(one_api: LocalApi) -> LocalApi:
    """Without events and faults."""
    one_api.set_faults([])
    for event in one_api.call("GET", "/events?limit=100").json()["records"]:
        one_api.call("DELETE", f"/events/{event['sid']}")
    return one_api


@pytest.fixture
def ask(run: Command, api: LocalApi) -> Ask:
    environment = {
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }

    def call(*arguments: str, **variables: str) -> Result:
        result = run("what-changed", *arguments, environment=environment | variables)
        assert "Traceback" not in result.output
        return result

    return call


def create(api: LocalApi, name: str, minutes: float, type_: str = "deployment", **fields: Any) -> str:
    event = {"type": type_, "name": name, "startedAt": at(minutes), **fields}
    return str(api.call("POST", "/events", json=event).json()["sid"])


def story(api: LocalApi) -> dict[str, str]:
    """Two deploys, a flag, and an incident that goes on; SIDs by name."""
    facts = {
        "repository": "acme/shop",
        "repository_url": "https://github.com/acme/shop",
        "environment": "production",
        "status": "success",
    }
    run_url = "https://github.com/acme/shop/actions/runs/27"
    first = facts | {"version": "v1", "commit": "1" * 40}
    second = facts | {"version": "v2", "commit": "2" * 40, "url": run_url, "verdict": "worse"}
    return {
        "v1": create(api, "Deploy v1", -1_000, metadata=first),
        "v2": create(api, "Deploy v2 (worse)", -30, metadata=second, description=LINE),
        "flag": create(api, "Flag turned on", -7, "config_change"),
        "test": create(api, "Deploy v3 to staging", -2, metadata=facts | {"environment": "staging"}),
        "incident": create(
            api,
            "#1842 Checkout is slow",
            4,
            "incident",
            metadata={"environment": "production", "marker_key": "pagerduty:incident:Q1"},
        ),
    }


def cells(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell]


def test_in_a_pipe_there_is_one_line_for_each_event_and_the_nearest_comes_first(
    api: LocalApi, ask: Ask
) -> None:
    sids = story(api)
    result = ask(at(0), "--environment", "prod")
    assert result.exit_code == 0
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == [
        *("WHEN", "STARTED", "TYPE", "OUTCOME", "VERSIONS", "SID", "NAME", "VERDICT", "LINKS")
    ]
    assert [[cell.strip() for cell in cells(line)] for line in lines] == [
        ["4 min after", at(4), "incident", "open", "-", sids["incident"], "#1842 Checkout is slow", "-", "-"],
        [
            "7 min before",
            at(-7),
            "config_change",
            "-",
            "-",
            sids["flag"],
            "Flag turned on",
            "-",
            "-",
        ],
        [
            *("30 min before", at(-30), "deployment", "success", "v1 → v2", sids["v2"], "Deploy v2 (worse)"),
            *(f"worse: {LINE}", f"{COMPARE} https://github.com/acme/shop/actions/runs/27"),
        ],
    ]
    assert "\x1b" not in result.output


def test_on_a_terminal_it_fits_80_columns(api: LocalApi, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    story(api)
    written = io.StringIO()
    monkeypatch.setattr(
        consoles, "output", lambda: Console(file=written, width=80, force_terminal=True, highlight=False)
    )
    assert ask(at(0), "--environment", "production").exit_code == 0
    coloured = written.getvalue()
    assert "\x1b[" in coloured
    plain = Text.from_ansi(coloured).plain
    assert plain.startswith(f"Around {at(0)} in production\n")
    assert max(len(line) for line in plain.splitlines()) <= 80
    for words in ("deployment · success · v1 → v2", "15 min after: errors 0.3 % → 2.1 %", "open for 2 h"):
        assert words in plain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), f"Nothing changed from {at(-60)} to {at(60)}. --minutes looks farther."),
        (
            ("--minutes", "5", "--environment", "production", "--bucket", "Checkout API"),
            f"Nothing changed in production on the charts of Checkout API from {at(-5)} to {at(5)}.",
        ),
        (("--type", "scale", "--type", "incident"), "There was no scaling or incident from"),
    ],
)
def test_that_nothing_changed_is_said_and_how_far_it_looked(
    api: LocalApi, ask: Ask, arguments: tuple[str, ...], words: str
) -> None:
    create(api, "too far away", -90)
    result = ask(at(0), *arguments)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith(words)


def test_that_nothing_changed_before_is_said_although_something_came_after(api: LocalApi, ask: Ask) -> None:
    create(api, "Checkout is slow", -2, "incident")
    create(api, "Deploy v2", 10)
    result = ask(at(0))
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == (
        f"Before, since {at(-60)}, there was no deployment, configuration change, scaling or custom event. "
        "--minutes looks farther.\n"
    )
    assert ask(at(0), "--type", "incident").stderr == ""


def test_around_an_event_counts_what_shares_its_scope(api: LocalApi, ask: Ask) -> None:
    story(api)
    found = json.loads(ask("--around", "pagerduty:incident:Q1", "--json").stdout)
    assert found["around"] == at(4)
    assert found["about"]["name"] == "#1842 Checkout is slow"
    assert [change["event"]["name"] for change in found["changes"]] == [
        "Flag turned on",
        "Deploy v2 (worse)",
    ]
    assert json.loads(ask("--around", found["about"]["sid"], "--json").stdout)["changes"] == found["changes"]


def test_json_has_all_fields(api: LocalApi, ask: Ask) -> None:
    story(api)
    found = json.loads(ask(at(0), "--json", "--type", "deployment", "--environment", "prod").stdout)
    assert {name: found[name] for name in ("around", "from", "to", "leftOut", "complete", "about")} == {
        "around": at(0),
        "from": at(-60),
        "to": at(60),
        "leftOut": 0,
        "complete": True,
        "about": None,
    }
    (change,) = found["changes"]
    event = change.pop("event")
    assert event["endedAt"] is None
    assert change == {
        "when": "30 min before",
        "offsetSeconds": -1_800,
        "outcome": "success",
        "version": "v2",
        "previousVersion": "v1",
        "course": None,
        "compareUrl": COMPARE,
        "url": "https://github.com/acme/shop/actions/runs/27",
        "verdict": {"word": "worse", "line": LINE},
    }


def test_what_is_farther_away_than_the_limit_is_counted(api: LocalApi, ask: Ask) -> None:
    story(api)
    result = ask(at(0), "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "3 more, farther away; --limit 4 shows them.\n"


def test_it_costs_three_requests(api: LocalApi, ask: Ask) -> None:
    story(api)
    before = api.requests()["GET"]["200"]
    ask(at(0), "--environment", "prod")
    assert api.requests()["GET"]["200"] == before + 3


def test_more_events_than_are_read_are_not_passed_over_in_silence(
    api: LocalApi, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        create(api, "Failover", minute, "scale")
    monkeypatch.setattr(what_changed, "MOST_LOOKED_AT", 2)
    assert "too many events to read all of them" in ask(at(0)).stderr
    assert json.loads(ask(at(0), "--json").stdout)["complete"] is False


def test_text_of_others_adds_no_lines_and_no_colours(api: LocalApi, ask: Ask) -> None:
    facts = {"status": "\x1b[31mred\nline", "environment": "production", "url": "https://x/\x1b]8;;y"}
    create(api, "Deploy \x1b[31mevil\nline", -1, metadata=facts)
    result = ask(at(0), "--environment", "prod")
    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "variables", "exit_code", "words"),
    [
        (("soon",), {}, 2, "'soon' is not a time; write "),
        ((at(0), "--around", "evt_1"), {}, 2, "Give a MOMENT or --around, not both."),
        (("--bucket", "Cart"), {}, 2, "ApiTraffic: there is no bucket 'Cart'"),
        (("--around", "evt_none"), {}, 4, "ApiTraffic has no event evt_none of the last 7 d"),
        ((), {"APITRAFFIC_API_TOKEN": "wrong"}, 4, "ApiTraffic refused the request: 401"),
        ((), {"APITRAFFIC_API_URL": "http://127.0.0.1:9/v1"}, 5, "ApiTraffic could not be reached: "),
        ((), {"APITRAFFIC_API_TOKEN": "", "APITRAFFIC_API_URL": ""}, 3, "ApiTraffic is not configured: "),
    ],
)
def test_what_is_wrong_has_its_exit_code(
    ask: Ask, arguments: tuple[str, ...], variables: dict[str, str], exit_code: int, words: str
) -> None:
    result = ask(*arguments, "--timeout", "1", **variables)
    assert result.exit_code == exit_code
    assert words in result.stderr
