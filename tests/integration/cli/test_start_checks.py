"""What the receiver and the worker find out when they start, and log."""

from importlib.metadata import version
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.cli import start_checks
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.doctor import storage
from receiver.reception.spool import spool_of
from receiver.web.app import announce_sources
from tests.support.changes import change
from tests.support.local_api import running_local_api

NOWHERE = "redis://127.0.0.1:9"


def settings(**environ: str) -> Settings:
    return load_settings({"APITRAFFIC_CONFIG": "", **environ})


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_redis_that_is_well_is_not_mentioned(redis_url: str) -> None:
    with capture_logs() as lines:
        start_checks.examine_redis(settings(REDIS_URL=redis_url))
    assert lines == []


def test_a_redis_without_its_append_only_file_is_an_error(redis_url: str) -> None:
    with connect(redis_url) as redis:
        redis.config_set("appendonly", "no")
    with capture_logs() as lines:
        start_checks.examine_redis(settings(REDIS_URL=redis_url))
    (line,) = lines
    assert line["log_level"] == "error"
    assert line["event"].startswith("the append-only file is off: a restart loses what was accepted")
    assert "appendonly yes" in line["advice"]


@pytest.mark.parametrize(
    ("spool", "until_then"), [("off", "senders get 503"), ("spool.sqlite", "deliveries go to the spool")]
)
def test_a_redis_that_cannot_be_reached_is_an_error_and_no_reason_not_to_start(
    spool: str, until_then: str
) -> None:
    with capture_logs() as lines:
        start_checks.examine_redis(settings(REDIS_URL=NOWHERE, APITRAFFIC_SPOOL=spool))
    (line,) = lines
    assert line["event"] == "Redis cannot be reached"
    assert line["until_then"] == until_then
    assert "Connection refused" in line["reason"]
    assert line["advice"] == "start it, or correct REDIS_URL"


def test_a_wrong_token_is_logged_before_the_first_delivery(tmp_path: Path, redis_url: str) -> None:
    with running_local_api(tmp_path) as api:
        own = {
            "APITRAFFIC_API_URL": api.url,
            "APITRAFFIC_ACCOUNT_SID": api.account_sid,
            "REDIS_URL": redis_url,
        }
        with capture_logs() as wrong:
            start_checks.ask_the_api(settings(**own, APITRAFFIC_API_TOKEN="another-token"))
        with capture_logs() as right:
            start_checks.ask_the_api(settings(**own, APITRAFFIC_API_TOKEN=api.token))
        with connect(redis_url) as redis:
            RequestBudget(redis).use_up(60)
        before = api.requests()
        with capture_logs() as without_budget:
            start_checks.ask_the_api(settings(**own, APITRAFFIC_API_TOKEN="another-token"))
        assert api.requests() == before
    assert right == without_budget == []
    (line,) = wrong
    assert line["log_level"] == "error"
    assert line["event"].startswith("the API refuses the token or the account: nothing is delivered")
    assert "another-token" not in str(line)


def test_what_is_probably_a_mistake_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WEBHOK_SECRET", "hunter2")
    with capture_logs() as lines:
        start_checks.log_start(settings())
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("starting", "info"),
        ("GITHUB_WEBHOK_SECRET is not read", "warning"),
    ]
    assert lines[0]["version"] == version("apitraffic-events")
    assert "hunter2" not in str(lines)


def announced(**environ: str) -> list[tuple[str, str]]:
    with capture_logs() as lines:
        announce_sources(settings(**environ))
    return [(line["event"], line["log_level"]) for line in lines]


def test_the_sources_that_are_off_are_one_line_and_no_warning_if_one_is_on() -> None:
    others = "other sources are off, as their secrets are not set"
    assert announced(GITHUB_WEBHOOK_SECRET="5" * 32) == [("source is on", "info"), (others, "info")]
    assert announced() == [("all sources are off", "warning")]


def test_what_waits_for_another_account_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before, after = (settings(APITRAFFIC_ACCOUNT_SID=f"acc_{number}") for number in (1, 2))
    spool = spool_of(before)
    assert spool
    spool.put((change("open"),))
    with capture_logs() as lines:
        start_checks.examine_spool(before)
        start_checks.examine_spool(after)
    (line,) = lines
    assert f"{spool.path} holds deliveries that were accepted for another account" in line["event"]
    assert f"set APITRAFFIC_SPOOL={spool.path}" in line["advice"]
    assert storage.spool(spool_of(after)).found == line["event"]
