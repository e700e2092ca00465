"""`apitraffic-events run`: the command decides how it ends, and the chart shows it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.contract import NOT_CONFIGURED
from tests.support.processes import started
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

SECRET = "a-secret-of-the-receiver"
RUN = (sys.executable, "-m", "receiver", "run")
GITLAB = {
    "GITLAB_CI": "true",
    "CI_SERVER_FQDN": "gitlab.example.com",
    "CI_PROJECT_PATH": "acme/shop",
    "CI_ENVIRONMENT_NAME": "production",
    "CI_COMMIT_TAG": "v2.3.1",
    "GITLAB_USER_LOGIN": "alice",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("run")) as stack:
        stack.environment["EVENTS_WEBHOOK_SECRET"] = SECRET
        stack.receiver.start()
        stack.worker.start()
        yield stack


@pytest.fixture
def environment(system: Stack, tmp_path: Path) -> dict[str, str]:
    names = ("APITRAFFIC_API_URL", "APITRAFFIC_API_TOKEN", "APITRAFFIC_ACCOUNT_SID")
    own = {name: system.environment[name] for name in names}
    return {"PATH": os.defpath, "TMPDIR": str(tmp_path), **own}


def run(*arguments: str, environment: dict[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *arguments],
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def events_of(system: Stack, **facts: str) -> list[dict[str, Any]]:
    return [event for event in system.events() if facts.items() <= event["metadata"].items()]


def test_streams_and_exit_code_are_the_commands_and_the_event_says_how_it_ended(
    system: Stack, environment: dict[str, str]
) -> None:
    script = "cat; echo problem >&2; exit 3"
    options = ("--to", "production", "--version", "v7", "--metadata", "case=failed")
    result = run(*options, "sh", "-c", script, environment=environment, text="input")
    assert (result.returncode, result.stdout) == (3, "input")
    assert result.stderr.startswith("problem\nApiTraffic: Failed deploy v7 to production: failure after ")
    [event] = events_of(system, case="failed")
    assert event["name"] == "Failed deploy v7 to production"
    assert event["description"].startswith("Failed after ")
    assert event["startedAt"] <= event["endedAt"]
    assert event["metadata"]["status"] == "failure"
    assert event["metadata"]["exit_code"] == "3"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"APITRAFFIC_API_TOKEN": ""}, NOT_CONFIGURED),
        ({"APITRAFFIC_ACCOUNT_SID": "typo"}, NOT_CONFIGURED),
        ({"APITRAFFIC_API_TOKEN": "wrong"}, "ApiTraffic refused the event: "),
        ({"APITRAFFIC_API_URL": "http://127.0.0.1:9/v1"}, "ApiTraffic could not be reached: "),
        ({"APITRAFFIC_RECEIVER_URL": "http://127.0.0.1:9"}, NOT_CONFIGURED),
        ({"APITRAFFIC_RECEIVER_URL": "nowhere", "APITRAFFIC_RECEIVER_SECRET": "x"}, NOT_CONFIGURED),
    ],
)
def test_whatever_is_wrong_with_apitraffic_the_command_runs_and_its_exit_code_stays(
    environment: dict[str, str], variables: dict[str, str], words: str
) -> None:
    options = ("--timeout", "0.2", "--quiet", "--to", "production", "--")
    result = run(*options, "sh", "-c", "echo ran; exit 4", environment=environment | variables)
    assert (result.returncode, result.stdout) == (4, "ran\n")
    last = result.stderr.splitlines()[-1]
    assert last.startswith(words)
    assert "unexpected" not in last


def test_a_command_that_does_not_exist_ends_as_in_a_shell_and_makes_no_event(
    system: Stack, environment: dict[str, str]
) -> None:
    result = run("--to", "production", "--", "./no-such-command", environment=environment)
    assert (result.returncode, result.stderr) == (127, "Error: ./no-such-command: command not found\n")
    assert run("--to", "production", "/", environment=environment).returncode == 126


def test_a_signal_reaches_the_command_and_the_event_says_that_it_was_cancelled(
    system: Stack, environment: dict[str, str]
) -> None:
    command = [*RUN, "--name", "Grow", "--type", "scale", "--metadata", "case=stopped", "sleep", "60"]
    with started(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: events_of(system, case="stopped"), "the event while the command runs")
        [event] = events_of(system, case="stopped")
        assert (event["metadata"]["status"], event["endedAt"]) == ("in_progress", None)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    [event] = events_of(system, case="stopped")
    assert event["metadata"]["status"] == "cancelled"
    assert event["endedAt"]


def test_in_a_job_it_completes_the_event_of_the_webhook_and_a_second_run_has_its_own(
    system: Stack, environment: dict[str, str]
) -> None:
    key = "gitlab:gitlab.example.com:job:71"
    webhooks = {"type": "deployment", "name": "Deploy", "metadata": {"marker_key": key, "deployment_id": "9"}}
    assert system.api.call("POST", "/events", json=webhooks).ok
    job = environment | GITLAB | {"CI_JOB_ID": "71"}
    assert run("true", environment=job).returncode == 0
    [event] = events_of(system, marker_key=key)
    assert event["name"] == "Deploy acme/shop v2.3.1 to production"
    assert event["metadata"]["deployment_id"] == "9"
    assert " by alice." in event["description"]
    assert run("--name", "Roll back", "false", environment=job).returncode == 1
    assert events_of(system, marker_key=key) == [event]
    [second] = events_of(system, marker_key=f"{key}:2")
    assert second["metadata"]["status"] == "failure"


def test_it_says_from_beginning_to_end_that_it_is_a_rollback(
    system: Stack, environment: dict[str, str]
) -> None:
    facts = {"repository": "acme/cart", "environment": "production", "status": "success"}
    for version, day in (("v2.3.1", "08"), ("v2.4.0", "09")):
        metadata = facts | {"version": version, "job": "deploy"}
        started_at = f"2026-01-{day}T10:00:00.000Z"
        before = {"type": "deployment", "name": "Deploy", "metadata": metadata, "startedAt": started_at}
        assert system.api.call("POST", "/events", json=before).ok
    job = environment | GITLAB | {"CI_PROJECT_PATH": "acme/cart", "CI_JOB_ID": "90", "CI_JOB_NAME": "deploy"}
    script = """
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
            curl -sf -H "Authorization: Bearer $APITRAFFIC_API_TOKEN" \\
                "$APITRAFFIC_API_URL/accounts/$APITRAFFIC_ACCOUNT_SID/events" | grep "Roll back" && exit 1
            sleep 0.25
        done
    """
    assert run("sh", "-c", script, environment=job).returncode == 1
    [event] = events_of(system, marker_key="gitlab:gitlab.example.com:job:90")
    assert event["name"] == "Failed rollback of acme/cart to v2.3.1 in production"
    first, second = event["description"].splitlines()
    assert first.startswith("Failed after ")
    assert second.startswith("Rollback to v2.3.1 from v2.4.0, deployed ")
    assert event["metadata"]["previous_version"] == "v2.4.0"


def test_through_a_receiver_it_needs_no_token(system: Stack, environment: dict[str, str]) -> None:
    job = {"PATH": os.defpath, "TMPDIR": environment["TMPDIR"], **GITLAB, "CI_JOB_ID": "72"}
    receiver = {"APITRAFFIC_RECEIVER_URL": system.url, "APITRAFFIC_RECEIVER_SECRET": SECRET}
    result = run("true", environment=job | receiver)
    assert (result.returncode, result.stdout) == (0, "")
    assert "success after" in result.stderr

    def ended() -> bool:
        key = "gitlab:gitlab.example.com:job:72"
        return [bool(event["endedAt"]) for event in events_of(system, marker_key=key)] == [True]

    wait_until(ended, "one event that has ended")
    wrong = run("true", environment=job | receiver | {"APITRAFFIC_RECEIVER_SECRET": "another"})
    assert wrong.returncode == 0
    assert wrong.stderr.startswith("ApiTraffic refused the event: 401 ")
    assert "APITRAFFIC_RECEIVER_SECRET" in wrong.stderr
