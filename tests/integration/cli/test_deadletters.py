"""`deadletters` lists, shows, replays and discards what was given up, against a real Redis."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from redis import Redis
from rich.console import Console
from rq import SimpleWorker
from rq.job import Job

from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.deadletters.letters import NO_WORKER, table
from receiver.datastore.address import connect
from receiver.events import is_urgent
from receiver.queue.dead_letters import Cause, DeadLetter, DeadLetters, Death
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import DEAD_LETTER_LIFETIME, delivery_queues, job_of
from tests.support.changes import change
from tests.support.command import Command
from tests.support.processes import started

DOCUMENTED = (
    *("name", "died_at", "accepted_at", "cause", "kind", "status", "code", "message", "tries"),
    *("key", "effect", "type", "event", "source", "delivery", "queue"),
)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def deadletters(run: Command, redis_url: str) -> Any:
    """`deadletters("list", "--json")`."""

    def call(*arguments: str) -> Result:
        return run("deadletters", *arguments, REDIS_URL=redis_url)

    return call


def bury(
    redis: Redis, name: str, *, ago: timedelta = timedelta(0), effect: str = "point", **fields: Any
) -> str:
    """A dead letter as the worker leaves it; fields of a `Death` are its death's, others its event's."""
    death = {
        "at": now() - ago,
        "cause": Cause.REFUSED,
        "kind": "Rejected",
        "code": "VALIDATION_ERROR",
        "status": 422,
        "message": "name is too long",
        "tries": 1,
    }
    death |= {field: fields.pop(field) for field in tuple(fields) if field in death}
    it = change(effect, delivery=name, **fields)
    urgent, routine = delivery_queues(redis)
    queue = urgent if is_urgent(it) else routine
    job = job_of(it, name, queue)
    job.save()
    Death.model_validate(death).store(job)
    queue.failed_job_registry.add(job, ttl=DEAD_LETTER_LIFETIME)
    redis.zincrby(queue.failed_job_registry.key, -ago.total_seconds(), name)
    return name


def names(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["name"] for line in result.stdout.splitlines()]


class TestList:
    def test_columns_are_two_spaces_apart_under_headings(self, redis: Redis, deadletters: Any) -> None:
        bury(redis, "gh-1", ago=timedelta(hours=50), key="github:acme/shop:deployment:1", tries=12)
        bury(redis, "gh-2", effect="close", code=None, status=None, kind="Unreachable", message="no answer")
        result = deadletters("list")
        assert result.exit_code == 0
        heading, first, second = (line.split() for line in result.stdout.splitlines())
        assert heading == ["NAME", "DIED", "AGE", "TRIES", "EFFECT", "ERROR", "KEY", "EVENT", "REASON"]
        died = datetime.fromisoformat(first[1])
        assert abs(now() - timedelta(hours=50) - died) < timedelta(minutes=1)
        assert [first[0], *first[2:5]] == ["gh-1", "2d", "12", "point"]
        line = result.stdout.splitlines()[1]
        assert [cell.strip() for cell in line.split("  ") if cell][5:] == [
            "422 VALIDATION_ERROR",
            "github:acme/shop:deployment:1",
            "Deploy acme/shop v2.3.1 to production",
            "name is too long",
        ]
        assert second[:6] == ["gh-2", second[1], "0m", "1", "close", "Unreachable"]
        assert {len(line) - len(line.lstrip()) for line in result.stdout.splitlines()} == {0}
        assert {line.index("  ") for line in result.stdout.splitlines()} == {4}

    def test_json_is_one_object_a_line_with_the_documented_fields(
        self, redis: Redis, deadletters: Any
    ) -> None:
        bury(redis, "gh-1")
        (line,) = deadletters("list", "--json").stdout.splitlines()
        assert tuple(json.loads(line)) == DOCUMENTED

    def test_the_oldest_comes_first_whatever_its_queue(self, redis: Redis, deadletters: Any) -> None:
        for name, hours, effect in (
            ("c", 1, "point"),
            ("a", 9, "close"),
            ("b", 5, "point"),
            ("d", 0, "close"),
        ):
            bury(redis, name, ago=timedelta(hours=hours), effect=effect)
        assert names(deadletters("list", "--json")) == ["a", "b", "c", "d"]

    def test_filters_narrow_it_together(self, redis: Redis, deadletters: Any) -> None:
        bury(redis, "old", ago=timedelta(days=5))
        bury(redis, "gitlab", source="gitlab", key="gitlab:acme/shop:job:1", ago=timedelta(hours=3))
        bury(
            redis,
            "late",
            ago=timedelta(minutes=2),
            cause=Cause.OUT_OF_TIME,
            code="INTERNAL_ERROR",
            status=500,
        )
        bury(redis, "incident", type="incident", key="pagerduty:P1", source="pagerduty")

        def listed(*filters: str) -> list[str]:
            return names(deadletters("list", "--json", *filters))

        assert listed("--source", "gitlab") == ["gitlab"]
        assert listed("--key", "*:job:*") == ["gitlab"]
        assert listed("--code", "INTERNAL_ERROR") == listed("--code", "500") == ["late"]
        assert listed("--type", "incident") == ["incident"]
        assert listed("--cause", "out_of_time") == ["late"]
        assert listed("--since", "2h") == ["late", "incident"]
        assert listed("--until", "3d") == ["old"]
        assert listed("--since", "4d", "--until", "90m") == ["gitlab"]
        day = format_timestamp(now() - timedelta(days=5) - timedelta(minutes=1))
        assert listed("--since", day, "--until", "1d") == ["old"]
        assert listed("--source", "github", "--type", "incident") == []

    @pytest.mark.parametrize("value", ["", "last week", "3y", "-2h", "2 h", "999999999d", "h"])
    def test_what_is_no_time_is_said(self, deadletters: Any, value: str) -> None:
        result = deadletters("list", "--since", value)
        assert result.exit_code == 2
        assert "2026-01-10T10:05:00Z" in result.stderr

    def test_nothing_is_said_apart_from_what_scripts_read(self, redis: Redis, deadletters: Any) -> None:
        empty = deadletters("list")
        assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "No dead letters.\n")
        bury(redis, "gh-1")
        none = deadletters("list", "--source", "gitlab")
        assert (none.exit_code, none.stdout, none.stderr) == (0, "", "No dead letters match.\n")
        assert deadletters("list", "--json", "--source", "gitlab").stdout == ""


class TestShow:
    def test_it_prints_the_whole_change_and_the_error(self, redis: Redis, deadletters: Any) -> None:
        bury(redis, "gh-1", metadata={"actor": "octocat"}, message="name is too long")
        shown = json.loads(deadletters("show", "gh-1").stdout)
        assert tuple(shown) == (*DOCUMENTED, "change")
        assert shown["message"] == "name is too long"
        assert shown["change"]["event"]["metadata"] == {"actor": "octocat"}
        assert shown["change"]["delivery"]["id"] == "gh-1"

    def test_a_name_that_is_not_there_is_said(self, deadletters: Any) -> None:
        result = deadletters("show", "no-such")
        assert result.exit_code == 1
        assert "no-such is not a dead letter; `deadletters list` shows all of them." in result.stderr


@pytest.mark.parametrize(("verb", "word"), [("replay", "replayed"), ("discard", "discarded")])
class TestReplayAndDiscard:
    def test_those_that_are_named(self, redis: Redis, deadletters: Any, verb: str, word: str) -> None:
        for name in ("a", "b", "c"):
            bury(redis, name)
        result = deadletters(verb, "c", "a", "c")
        assert (result.exit_code, result.stdout) == (0, f"c  {word}\na  {word}\n")
        assert result.stderr == ("" if verb == "discard" else f"{NO_WORKER}\n")
        assert names(deadletters("list", "--json")) == ["b"]

    def test_those_that_match(self, redis: Redis, deadletters: Any, verb: str, word: str) -> None:
        bury(redis, "a", code="INTERNAL_ERROR", status=500)
        bury(redis, "b")
        assert deadletters(verb, "--code", "500").stdout == f"a  {word}\n"
        assert names(deadletters("list", "--json")) == ["b"]
        assert deadletters(verb, "--code", "500").stderr == "No dead letters match.\n"

    def test_all(self, redis: Redis, deadletters: Any, verb: str, word: str) -> None:
        bury(redis, "a")
        bury(redis, "b", effect="close")
        assert deadletters(verb, "--all").stdout == f"a  {word}\nb  {word}\n"
        queued = [name for queue in delivery_queues(redis) for name in queue.job_ids]
        assert queued == (["b", "a"] if verb == "replay" else [])
        assert names(deadletters("list", "--json")) == []
        again = deadletters(verb, "--all")
        assert (again.exit_code, again.stderr) == (0, "No dead letters.\n")

    def test_a_mistyped_name_changes_nothing(
        self, redis: Redis, deadletters: Any, verb: str, word: str
    ) -> None:
        bury(redis, "a")
        assert deadletters(verb, "a", "no-such").exit_code == 1
        assert names(deadletters("list", "--json")) == ["a"]

    @pytest.mark.parametrize(
        "arguments", [(), ("a", "--all"), ("a", "--code", "422"), ("--all", "--code", "422")]
    )
    def test_what_is_chosen_must_be_clear(
        self, redis: Redis, deadletters: Any, verb: str, word: str, arguments: tuple[str, ...]
    ) -> None:
        bury(redis, "a")
        result = deadletters(verb, *arguments)
        assert result.exit_code == 2
        assert "Give the NAMEs that `deadletters list` prints, or filters, or --all." in result.stderr
        assert names(deadletters("list", "--json")) == ["a"]


class TestWhatComesOfAReplay:
    """The worker is played by what it leaves in Redis."""

    @pytest.fixture
    def worker(self, redis: Redis) -> Iterator[None]:
        """One that has just given a sign of life, and does nothing."""
        worker = SimpleWorker(delivery_queues(redis), connection=redis)
        worker.register_birth()  # type: ignore[no-untyped-call]  # RQ has no types here
        yield
        worker.register_death()  # type: ignore[no-untyped-call]

    @pytest.mark.usefixtures("worker")
    def test_it_says_what_is_delivered_what_is_dead_again_and_what_waits(
        self, redis: Redis, deadletters: Any
    ) -> None:
        for name in ("delivered", "refused", "waiting"):
            bury(redis, name)

        def do_their_work(listed: DeadLetters, letter: DeadLetter) -> bool:
            assert replay(listed, letter)
            _, queue = delivery_queues(redis)
            if letter.name == "delivered":
                queue.remove(letter.name)
                redis.delete(Job.key_for(letter.name))
            if letter.name == "refused":
                queue.remove(letter.name)
                bury(redis, "refused", message="name is still too long")
                redis.hset(Job.key_for("refused"), "status", "failed")
            return True

        replay = DeadLetters.replay
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(DeadLetters, "replay", do_their_work)
            result = deadletters("replay", "--all", "--wait", "0.3")
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            "1 delivered, 1 dead letters again, 1 still waiting.",
            "refused  name is still too long",
        ]

    @pytest.mark.usefixtures("worker")
    def test_nobody_has_to_wait(self, redis: Redis, deadletters: Any) -> None:
        bury(redis, "a")
        result = deadletters("replay", "a", "--wait", "0")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "a  replayed\n", "")


def test_a_terminal_of_80_columns_shows_all_of_it(redis: Redis) -> None:
    message = "metadata.services is a list of 120 entries, and at most 100 are allowed; shorten it"
    bury(redis, "gh-1", key="github:acme/shop:deployment:1", message=message, ago=timedelta(days=2), tries=12)
    shown = io.StringIO()
    console = Console(file=shown, width=80, force_terminal=True, color_system=None)
    console.print(table(DeadLetters(delivery_queues(redis))))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(shown.getvalue().split())
    for part in (
        "2d ago, 12 tries",
        "422 VALIDATION_ERROR",
        "Deploy acme/shop v2.3.1 to production",
        "gh-1 point github:acme/shop:deployment:1",
    ):
        assert part in text
    assert message.rsplit(maxsplit=1)[-1] in text


def test_killed_half_way_each_is_dead_or_queued_and_none_is_both(redis: Redis, redis_url: str) -> None:
    count = 1_000
    # Names so long that what it prints fills the pipe, where it waits to be killed.
    everything = {bury(redis, f"gh-{number}-{'x' * 100}") for number in range(count)}
    with started(
        [sys.executable, "-m", "receiver", "deadletters", "replay", "--all"],
        env={**os.environ, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    _, queue = delivery_queues(redis)
    queued, dead = queue.job_ids, queue.failed_job_registry.get_job_ids()
    assert 0 < len(queued) < count, "it was not killed half-way"
    assert sorted([*queued, *dead]) == sorted(everything)


def test_a_replayed_delivery_is_still_a_duplicate_when_its_sender_repeats_it(
    redis: Redis, deadletters: Any
) -> None:
    it = change("point", delivery="d-1")
    assert Enqueuer(redis).enqueue([it])
    _, queue = delivery_queues(redis)
    (job,) = queue.jobs
    redis.lrem(queue.key, 1, job.id)
    queue.failed_job_registry.add(job, ttl=DEAD_LETTER_LIFETIME)
    assert deadletters("replay", "--all").exit_code == 0
    assert not Enqueuer(redis).enqueue([it])
    assert queue.job_ids == [job.id]


@pytest.mark.parametrize(
    "arguments", [("list",), ("list", "--json"), ("show", "a"), ("replay", "--all"), ("discard", "a")]
)
def test_without_redis_it_says_so(run: Command, arguments: tuple[str, ...]) -> None:
    result = run("deadletters", *arguments, REDIS_URL="redis://127.0.0.1:9/0")
    assert result.exit_code == 1
    assert "Connection refused. Is REDIS_URL right, and is that Redis running?" in result.stderr
    missing = run("deadletters", *arguments)
    assert missing.exit_code == 1
    assert "REDIS_URL is not set" in missing.stderr
