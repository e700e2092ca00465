"""What `doctor` makes of what it has found out; `tests/integration/cli/test_doctor.py` lets it look."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import responses

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import RateLimit
from apitraffic_events.timestamps import format_timestamp, now
from receiver.doctor import api, backlog, secrets, storage
from receiver.doctor.findings import FindingState, ok
from receiver.monitoring.status import Pause, QueueState, QueueStatus
from receiver.queue.inspection import WorkerState

NOW = now()
STRONG = "9f86d081884c7d659a2feaa0c55ad015"
WELL: dict[str, Any] = {
    "redis_version": "7.4.1",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "maxmemory_policy": "noeviction",
    "maxmemory": 0,
    "used_memory": 1_000_000,
}


TOKENS = "https://api.test/v1/accounts/acc_1/apiTokens"


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, FindingState.OK),
        (-4, FindingState.OK),
        (6, FindingState.WARNING),
        (-90, FindingState.WARNING),
        (301, FindingState.FAILURE),
    ],
)
def test_clocks_that_disagree(seconds: float, state: FindingState) -> None:
    found = api.clock(NOW, NOW + timedelta(seconds=seconds))
    assert found.state is state
    if state is not FindingState.OK:
        assert f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the API's" in found.found


def test_a_token_that_expires_soon_is_named(http: responses.RequestsMock) -> None:
    """Whether the API lists tokens is not documented; a token without that right gets 403."""
    tokens = [
        {
            "sid": f"tok_{days}",
            "name": f"in {days} days",
            "expiresAt": format_timestamp(NOW + timedelta(days=days)),
        }
        for days in (20, 13, -1, 2)
    ]
    http.get(TOKENS, json={"hasMore": False, "records": [*tokens, {"sid": "tok_x", "expiresAt": None}]})
    with EventsClient(api_url="https://api.test/v1", account_sid="acc_1", token="t") as client:
        found = list(api.tokens(client, NOW))
    assert [finding.state for finding in found] == [FindingState.WARNING] * 2
    assert [finding.found.split(" expires ")[0] for finding in found] == [
        "the API token in 2 days",
        "the API token in 13 days",
    ]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_tokens_that_cannot_be_listed_are_no_finding(http: responses.RequestsMock, status: int) -> None:
    http.get(TOKENS, status=status)
    with EventsClient(api_url="https://api.test/v1", account_sid="acc_1", token="t") as client:
        assert list(api.tokens(client, NOW)) == []


@pytest.mark.parametrize(
    ("left", "state"),
    [(1000, FindingState.OK), (101, FindingState.OK), (100, FindingState.WARNING), (0, FindingState.WARNING)],
)
def test_the_budget_is_low_when_only_what_is_urgent_gets_through(left: int, state: FindingState) -> None:
    assert api.budget(RateLimit(1000, left, NOW)).state is state


@pytest.mark.parametrize(
    ("changes", "appendfsync", "state"),
    [
        ({}, "always", FindingState.OK),
        ({}, "everysec", FindingState.OK),
        ({}, None, FindingState.OK),
        ({}, "no", FindingState.FAILURE),
        ({"aof_enabled": 0}, "always", FindingState.FAILURE),
        ({"aof_last_write_status": "err"}, "always", FindingState.FAILURE),
    ],
)
def test_accepted_must_mean_on_disk(
    changes: dict[str, Any], appendfsync: str | None, state: FindingState
) -> None:
    assert storage.persistence(WELL | changes, appendfsync).state is state


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, FindingState.OK),
        ({"maxmemory": 2_000_000}, FindingState.OK),
        ({"maxmemory": 1_100_000}, FindingState.WARNING),
        ({"maxmemory": 1_000_000}, FindingState.FAILURE),
        ({"maxmemory_policy": "allkeys-lru"}, FindingState.WARNING),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": 2_000_000}, FindingState.FAILURE),
    ],
)
def test_nothing_accepted_may_be_thrown_away(changes: dict[str, Any], state: FindingState) -> None:
    assert storage.memory(WELL | changes).state is state


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("6.2.14", FindingState.OK),
        ("8.0", FindingState.OK),
        ("6.0.16", FindingState.FAILURE),
        ("", FindingState.FAILURE),
    ],
)
def test_the_version_of_redis(version: str, state: FindingState) -> None:
    assert storage.version({"redis_version": version}).state is state


def test_valkey_goes_by_its_own_name() -> None:
    info = {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}
    assert storage.version(info) == ok("redis_version", "Valkey 9.1.2")


def test_who_cannot_set_it_is_not_told_to_edit_a_file() -> None:
    found = storage.persistence(WELL | {"aof_enabled": 0}, None)
    assert found.state is FindingState.FAILURE
    assert "with your provider" in str(found.advice)
    assert "redis.conf" not in str(found.advice)


@pytest.mark.parametrize(
    ("raw", "state", "words"),
    [
        (STRONG, FindingState.OK, "has 32 characters"),
        (f"{STRONG}\n", FindingState.OK, "the line break at its end is ignored"),
        (f'"{STRONG}"', FindingState.WARNING, "is in quotes"),
        (f"'{STRONG}'", FindingState.WARNING, "is in quotes"),
        (f"{STRONG}\\n", FindingState.WARNING, "ends in a written-out line break"),
        ("tooshort", FindingState.WARNING, "has 8 characters"),
        ("changeme", FindingState.FAILURE, "is a placeholder"),
        ("<secret>", FindingState.FAILURE, "is a placeholder"),
    ],
)
def test_secrets_as_people_write_them(raw: str, state: FindingState, words: str) -> None:
    found = secrets.secret("github_secret", "GITHUB_WEBHOOK_SECRET", [raw.strip()], raw)
    assert found.state is state
    assert words in found.found
    assert STRONG not in f"{found.found} {found.advice}"


def test_several_secrets_while_one_is_changed() -> None:
    both = f"{STRONG} {STRONG[::-1]}"
    found = secrets.secret("github_secret", "GITHUB_WEBHOOK_SECRET", [STRONG, STRONG[::-1], both], both)
    assert found.found == "GITHUB_WEBHOOK_SECRET holds 2 secrets"


QUIET = QueueStatus(
    queues=(QueueState("deliveries", waiting=0, in_work=0, to_retry=0, oldest_at=None),),
    pause=None,
    delivered_last_hour=0,
    budget=None,
    dead_letters=0,
    quarantined=0,
    workers=(WorkerState("one", "idle", NOW, 0),),
)


def wrong_with(**changes: Any) -> dict[str, FindingState]:
    found = backlog.backlog(replace(QUIET, **changes), NOW)
    return {finding.check: finding.state for finding in found if finding.state is not FindingState.OK}


def queued(minutes: float, **jobs: Any) -> tuple[QueueState]:
    return (replace(QUIET.queues[0], oldest_at=NOW - timedelta(minutes=minutes), **jobs),)


def test_what_waits_is_told_by_how_long_and_whether_anybody_works() -> None:
    assert wrong_with() == {}
    assert wrong_with(queues=queued(2, waiting=500)) == {}
    assert wrong_with(queues=queued(11, to_retry=1)) == {"queue": FindingState.WARNING}
    assert wrong_with(workers=()) == {"workers": FindingState.WARNING}
    assert wrong_with(workers=(), queues=queued(2, waiting=1)) == {"workers": FindingState.FAILURE}
    assert wrong_with(pause=Pause(NOW, "401")) == {"line": FindingState.FAILURE}
    assert wrong_with(dead_letters=1, quarantined=1) == {
        "dead_letters": FindingState.WARNING,
        "quarantine": FindingState.WARNING,
    }
