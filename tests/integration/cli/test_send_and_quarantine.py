"""`send` posts as the sender would; `quarantine` deals with what could not be translated."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from receiver.cli.quarantine.kept import table
from receiver.queue.queues import delivery_queue
from receiver.reception.quarantine import Quarantine
from tests.support.command import Command
from tests.support.github import deployment_status
from tests.support.processes import shown_on, started
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("served")) as stack:
        stack.receiver.start()
        yield stack


def test_it_signs_and_posts_and_prints_the_answer(run: Command, served: Stack) -> None:
    file = run.write("payload.json", deployment_status(1))
    options = ("--event", "deployment_status", "--url", served.url, "--delivery", "by-hand")
    result = run("send", "github", file, *options, environment=served.environment)
    assert result.exit_code == 0
    status, body = result.stdout.splitlines()
    assert status == "202 ACCEPTED"
    assert json.loads(body) == {"status": "accepted", "delivery": "by-hand", "changes": 1}
    again = run("send", "github", file, *options, environment=served.environment)
    assert json.loads(again.stdout.splitlines()[1])["status"] == "duplicate"


def test_a_refused_one_exits_with_1(run: Command, served: Stack) -> None:
    result = run(
        "send",
        "github",
        "-",
        "--event",
        "ping",
        "--url",
        served.url,
        body=b"{}",
        GITHUB_WEBHOOK_SECRET="wrong-one",
    )
    assert result.exit_code == 1
    assert result.stdout.startswith("401 UNAUTHORIZED")
    assert "signed with GITHUB_WEBHOOK_SECRET, and the receiver has another secret" in result.stderr
    assert "`apitraffic-events tail --status refused`" in result.stderr


def test_what_is_misspelt_is_recognised(run: Command, served: Stack) -> None:
    sender = run("send", "githb", "-", body=b"{}")
    assert sender.exit_code == 2
    assert "There is no sender 'githb'; did you mean github?" in sender.stderr
    assert "pagerduty" not in sender.stderr
    options = ("--event", "deployment_statu")
    url = ("--url", served.url)
    event = run("send", "github", "-", *options, *url, body=b"{}", environment=served.environment)
    assert event.exit_code == 0
    assert "GitHub has no event 'deployment_statu'; did you mean deployment_status?" in event.stderr
    assert "did you mean deployment_status?" in run("translate", "github", "-", *options, body=b"{}").stderr
    for known in ("deployment_status", "ping", "push"):
        told = run("translate", "github", "-", "--event", known, body=b"{}").stderr
        assert "did you mean" not in told


def test_a_sample_is_new_each_time(run: Command, served: Stack) -> None:
    for _ in range(2):
        command = ("trigger", "github.deployment", "--failed", "--url", served.url)
        result = run(*command, environment=served.environment)
        assert result.exit_code == 0
        assert json.loads(result.stdout.splitlines()[1])["status"] == "accepted"
    wrong = run("trigger", "github.release", "--failed")
    assert wrong.exit_code == 2
    assert "those that have it: github.deployment, gitlab.deployment, jenkins.build." in wrong.output
    assert "github.deployment" in run("trigger").stdout
    assert run("trigger", "github", "--print").stdout.count('"deployment_status"') == 1


def test_without_a_receiver_it_says_what_to_start(run: Command) -> None:
    result = run(
        *("send", "github", "-", "--event", "ping", "--url", "http://127.0.0.1:9"),
        body=b"{}",
        GITHUB_WEBHOOK_SECRET="x" * 20,
    )
    assert result.exit_code == 1
    assert (
        "no answer from http://127.0.0.1:9/webhooks/github: Connection refused; is the receiver"
        in result.stderr
    )
    assert "apitraffic-events up" in result.stderr


def test_without_a_secret_it_says_which_to_set(run: Command) -> None:
    result = run("send", "github", "-", "--event", "ping", body=b"{}")
    assert result.exit_code == 1
    assert "GITHUB_WEBHOOK_SECRET is not set" in result.stderr


@pytest.mark.parametrize("source", ["github", "gitlab"])
def test_a_sender_that_names_its_events_needs_one(run: Command, source: str) -> None:
    """Without it, the delivery was accepted and went to the quarantine."""
    result = run(
        "send", source, "-", body=b"{}", GITHUB_WEBHOOK_SECRET="x" * 20, GITLAB_WEBHOOK_TOKEN="x" * 20
    )
    assert result.exit_code == 2
    assert f"Give --event: {source} names its events in a header." in result.stderr


def test_on_a_terminal_it_asks_for_the_event(run: Command, served: Stack) -> None:
    payload = run.write("deployment_status__production.json", deployment_status(41))
    master, terminal = pty.openpty()
    os.write(master, b"\n")
    with started(
        [sys.executable, "-m", "receiver", "send", "github", payload, "--url", served.url],
        env={"PATH": os.environ["PATH"], **served.environment},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        printed = process.stdout.read()
        assert process.wait(timeout=30) == 0
    assert "The event's name at the sender [deployment_status]:" in shown_on(master)
    assert json.loads(printed.splitlines()[1])["status"] == "accepted"


def quarantine(run: Command, served: Stack, *arguments: str) -> tuple[int, str]:
    result = run("quarantine", *arguments, environment=served.environment)
    return result.exit_code, result.stdout


def test_what_could_not_be_translated_is_listed_shown_replayed_and_discarded(
    run: Command, served: Stack
) -> None:
    served.redis.flushdb()
    for identifier, body in (
        ("unreadable", b"{"),
        ("incomplete", b'{"deployment_status": {"state": "success"}}'),
    ):
        options = ("--event", "deployment_status", "--url", served.url, "--delivery", identifier)
        sent = run("send", "github", "-", *options, body=body, environment=served.environment)
        assert sent.exit_code == 1
        assert json.loads(sent.stdout.splitlines()[1])["status"] == "quarantined"

    _, listed = quarantine(run, served, "list")
    assert [line.split("  ")[1] for line in listed.splitlines()] == ["github:unreadable", "github:incomplete"]
    _, as_json = quarantine(run, served, "list", "--json")
    assert json.loads(as_json.splitlines()[1])["reason"] == "repository.full_name is missing from the payload"

    _, shown = quarantine(run, served, "show", "github:incomplete")
    assert json.loads(shown)["body"] == {"deployment_status": {"state": "success"}}
    assert served.environment["GITHUB_WEBHOOK_SECRET"] not in shown
    assert "sha256=" not in shown

    code, replayed = quarantine(run, served, "replay", "github:incomplete")
    assert (code, replayed.split("  ")[1]) == (1, "quarantined")

    assert quarantine(run, served, "discard", "github:unreadable")[0] == 0
    assert quarantine(run, served, "discard", "--all")[0] == 0
    assert quarantine(run, served, "list") == (0, "")


def test_a_terminal_of_80_columns_shows_all_of_it(run: Command, served: Stack) -> None:
    served.redis.flushdb()
    options = ("--event", "deployment_status", "--url", served.url, "--delivery", "incomplete-0123456789")
    run("send", "github", "-", *options, body=b'{"deployment_status": {}}', environment=served.environment)
    shown = io.StringIO()
    console = Console(file=shown, width=80, force_terminal=True, color_system=None)
    console.print(table(Quarantine(served.redis)))
    assert max(map(len, shown.getvalue().splitlines())) <= 80
    text = " ".join(shown.getvalue().split())
    for part in (
        "0m ago",
        "deployment_status",
        "github:incomplete-0123456789",
        "is missing from the payload",
    ):
        assert part in text


def test_a_replay_runs_the_whole_path_again(run: Command, served: Stack) -> None:
    """As after an upgrade that understands more: here the entry's event was unknown when it came."""
    served.redis.flushdb()
    file = run.write("payload.json", deployment_status(7))
    headers = ("--header", "X-GitHub-Event: ")
    options = ("--url", served.url, "--delivery", "replayed", *headers)
    assert "quarantined" in run("send", "github", file, *options, environment=served.environment).stdout
    served.redis.hset("apitraffic:quarantine:github:replayed", "event", "deployment_status")
    code, replayed = quarantine(run, served, "replay", "--all")
    assert (code, replayed) == (0, "github:replayed  accepted\n")
    assert quarantine(run, served, "list") == (0, "")
    assert delivery_queue(served.redis).job_ids == ["github-replayed-0"]


def test_a_name_that_is_not_there_is_said(run: Command, served: Stack) -> None:
    result = run("quarantine", "show", "github:no-such", environment=served.environment)
    assert result.exit_code == 1
    assert "github:no-such is not in quarantine" in result.stderr
    nothing = run("quarantine", "discard", environment=served.environment)
    assert nothing.exit_code == 2


def test_without_redis_it_says_so(run: Command) -> None:
    result = run("quarantine", "list", REDIS_URL="redis://127.0.0.1:9/0")
    assert result.exit_code == 1
    assert "Is REDIS_URL right, and is that Redis running?" in result.stderr
