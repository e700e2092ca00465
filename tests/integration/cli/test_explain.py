"""`apitraffic-events explain`: one story of a delivery, from any of its names."""

import json
from collections.abc import Iterator

import pytest

from tests.support.command import Command
from tests.support.github import deployment_status, post
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
    assert "Delivery the-second of github\n  accepted 2" in told.stdout
    assert "delivered: nothing of it waits" in told.stdout
    assert f"Marker {key}\n" in told.stdout
    assert "> " in told.stdout
    assert "github deployment_status the-second" in told.stdout
    assert f"Event {sid}\n  Name" in told.stdout
    for name in (key, sid, "github:the-second"):
        again = run("explain", name, environment=system.environment)
        assert again.exit_code == 0
        assert f"Marker {key}\n" in again.stdout
        assert f"Event {sid}\n" in again.stdout
    story = json.loads(run("explain", key, "--json", environment=system.environment).stdout)
    assert story["marker"]["sid"] == story["event"]["sid"] == sid


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
