"""`explain` tells one story of a delivery, from any of its names; `tail` shows deliveries as they come in."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from apitraffic_events.timestamps import now
from receiver.monitoring.stories import Archive
from tests.support.command import Command
from tests.support.github import deployment_status, post
from tests.support.processes import started
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("explain")) as stack:
        stack.receiver.start()
        stack.worker.start()
        yield stack


def send(system: Stack, body: bytes, event: str, delivery: str) -> None:
    assert post(system.url, body, event=event, delivery=delivery).ok


def test_delivery_key_and_sid_tell_the_same_story(run: Command, system: Stack) -> None:
    for state, delivery in (("failure", "the-first"), ("success", "the-second")):
        send(system, deployment_status(7, state=state), "deployment_status", delivery)
    wait_until(lambda: system.is_idle() and system.events(), "the event")
    [event] = system.events()
    sid, key = event["sid"], event["metadata"]["marker_key"]

    told = run("explain", "the-second", environment=system.environment)
    assert told.exit_code == 0, told.output
    assert "Delivery the-second of github\n  2" in told.stdout
    assert "Z accepted\n  delivered: no change is waiting" in told.stdout
    assert f"Marker {key}\n" in told.stdout
    assert "> " in told.stdout
    assert "github deployment_status the-second" in told.stdout
    assert f"Event {sid}\n  Name" in told.stdout
    for name in (key, sid, "github:the-second"):
        again = run("explain", name, environment=system.environment)
        assert again.exit_code == 0
        assert f"Marker {key}\n" in again.stdout
        assert f"Event {sid}\n" in again.stdout
    [told_of] = json.loads(run("explain", key, "--json", environment=system.environment).stdout)["markers"]
    assert told_of["sid"] == told_of["event"]["sid"] == sid


def test_it_says_what_stopped_a_delivery_and_how_to_go_on(run: Command, system: Stack) -> None:
    system.api.set_faults(["POST:status=422"])
    send(system, deployment_status(8), "deployment_status", "refused-by-the-api")
    wait_until(system.is_idle, "the dead letter")
    told = run("explain", "refused-by-the-api", environment=system.environment).stdout
    assert "change 1 was given up 2" in told
    assert "because: 422 " in told
    assert "→ apitraffic-events deadletters replay github-refused-by-the-api-0" in told
    assert "has no event: its first change has not been delivered" in told

    send(system, b'{"action": "created"}', "deployment_status", "unreadable")
    told = run("explain", "unreadable", environment=system.environment).stdout
    assert "in the quarantine: " in told
    assert "→ apitraffic-events quarantine replay github:unreadable" in told


def test_what_is_unknown_changes_nothing_and_exits_with_1(run: Command, system: Stack) -> None:
    before = set(system.redis.keys())
    result = run("explain", "no-such-thing", environment=system.environment)
    assert result.exit_code == 1
    assert "Nothing is known of 'no-such-thing'" in result.output
    assert set(system.redis.keys()) == before
    missing = run("explain", "evt_nothing", environment=system.environment)
    assert missing.exit_code == 1
    assert "The API does not have it" in missing.output


def test_a_marker_is_found_by_its_aliases_in_every_account(system: Stack) -> None:
    system.redis.hset("apitraffic:account:emea:marker:build:9", mapping={"in_doubt": "0", "sid": "evt_9"})
    system.redis.set("apitraffic:account:emea:alias:run:9", "build:9")
    system.redis.set("apitraffic:account:emea:claim:job:9", "run:9")
    [(account, marker)] = Archive(system.redis, ["emea"]).markers("job:9")
    assert (account, marker.key, marker.sid) == ("emea", "build:9", "evt_9")
    assert Archive(system.redis).markers("job:9") == []


def test_tail_shows_what_comes_in_and_what_becomes_of_it(run: Command, system: Stack) -> None:
    system.api.set_faults([])
    watching = [sys.executable, "-m", "receiver", "tail", "-n", "0", "--ids"]
    with started(
        watching,
        env={"PATH": os.defpath, **system.environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        # It says nothing before something comes in, so deliveries are sent until it has begun.
        sent = 0
        reading = selectors.DefaultSelector()
        reading.register(process.stdout, selectors.EVENT_READ)
        while not reading.select(timeout=1):
            sent += 1
            send(system, deployment_status(100 + sent), "deployment_status", f"watched-{sent}")
        # It may have begun after one of these came in and before it was delivered, so one more is sent.
        send(system, deployment_status(200), "deployment_status", "seen-whole")
        lines: list[str] = []
        while len(lines) < 2:
            line = process.stdout.readline()
            assert line
            if "  seen-whole" in line:
                lines.append(line)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    assert "  accepted     github deployment_status  Deploy " in lines[0]
    assert "  delivered    github deployment_status  Deploy " in lines[1]


def test_tail_shows_when_a_change_was_last_tried(run: Command, system: Stack) -> None:
    system.api.set_faults(["POST:status=503"])
    before = now()
    try:
        send(system, deployment_status(300), "deployment_status", "tried-once")

        def shown() -> list[tuple[datetime, dict[str, Any]]]:
            """What waits to be retried, with when that was asked for."""
            asked = now()
            options = ("--no-follow", "--json", "--status", "to_retry", "--text", "tried-once")
            lines = run("tail", *options, environment=system.environment).stdout.splitlines()
            return [(asked, json.loads(line)) for line in lines]

        def is_dated() -> bool:
            """The next attempt may be made while it is asked for."""
            return any(before <= datetime.fromisoformat(tried["at"]) <= asked for asked, tried in shown())

        wait_until(is_dated, "an attempt is shown with its own time")
    finally:
        system.api.set_faults([])


def test_tail_says_that_it_cannot_show_what_was_delivered_before(run: Command, system: Stack) -> None:
    result = run("tail", "--no-follow", "--status", "delivered", environment=system.environment)
    assert result.exit_code == 2
    assert "which the log does not record" in result.stderr


def test_tail_filters(run: Command, system: Stack) -> None:
    send(system, b"{}", "ping", "a-ping")
    assert post(system.url, b"{}", event="push", secret="wrong").status_code == 401

    def shown(*options: str) -> list[dict[str, Any]]:
        result = run("tail", "--no-follow", "--json", *options, environment=system.environment)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    wait_until(lambda: shown("--status", "refused"), "the refusal")
    [refused] = shown("--status", "refused")
    assert refused["source"] == "github"
    assert "secret" in refused["reason"]
    assert {each["delivery"] for each in shown("--text", "A-PING")} == {"a-ping"}
    assert len(shown("-n", "1")) == 1
    assert shown("--source", "gitlab") == []
