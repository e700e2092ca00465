"""Scripts in groups on one connection that nobody waits for, with a real Redis."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from select import select

import pytest
from redis.exceptions import RedisError, ResponseError

from receiver.datastore.address import connect
from receiver.datastore.script_group import Reply, ScriptGroups
from receiver.datastore.scripts.runner import ScriptCall
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queue
from tests.support.changes import change
from tests.support.redis import RedisProcess, redis_process

TIMEOUT = 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    with redis_process(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def groups(server: RedisProcess) -> Iterator[ScriptGroups]:
    """Redis knows the script already."""
    with connect(server.url) as redis:
        assert Enqueuer(redis).enqueue([change("point", delivery="first")])
        groups = ScriptGroups(redis)
        yield groups
        groups.close()


def calls_for(server: RedisProcess, *deliveries: str) -> list[ScriptCall]:
    with connect(server.url) as redis:
        enqueuer = Enqueuer(redis)
        return [enqueuer.call_for([change("point", delivery=each)]) for each in deliveries]


def replies(groups: ScriptGroups) -> Sequence[Reply]:
    while True:
        writable = [groups.socket] if groups.is_sending else []
        ready = select([groups.socket], writable, [], TIMEOUT)
        assert any(ready), "Redis does not answer"
        if groups.is_sending:
            groups.send_rest()
        found = groups.receive()
        if found is not None:
            return found


def test_each_script_of_a_group_gets_its_own_reply(server: RedisProcess, groups: ScriptGroups) -> None:
    groups.send(calls_for(server, "a", "first", "b", "a"))
    assert groups.is_busy
    assert replies(groups) == [1, 0, 1, 0]
    assert not groups.is_busy
    with connect(server.url) as redis:
        assert delivery_queue(redis).count == 3


def test_a_group_that_the_socket_takes_in_parts_is_run_whole(
    server: RedisProcess, groups: ScriptGroups
) -> None:
    names = [f"delivery-{number}" for number in range(2_000)]
    calls = calls_for(server, *names)
    server.pause()
    groups.send(calls)
    assert groups.is_sending
    server.resume()
    assert replies(groups) == [1] * len(names)


def test_a_script_that_redis_does_not_know_any_more_is_an_error_of_its_own(
    server: RedisProcess, groups: ScriptGroups
) -> None:
    with connect(server.url) as redis:
        redis.script_flush()
    groups.send(calls_for(server, "a", "b"))
    found = replies(groups)
    assert [type(reply) for reply in found] == [ResponseError, ResponseError]
    assert "NOSCRIPT" in str(found[0])
    groups.ping()
    assert replies(groups) == []


def test_a_redis_that_dies_is_an_error(server: RedisProcess, groups: ScriptGroups) -> None:
    calls = calls_for(server, "a")
    groups.send(calls)
    assert replies(groups) == [1]
    server.kill()
    with pytest.raises(RedisError):
        replies(groups)


def test_a_redis_that_does_not_answer_is_no_connection(server: RedisProcess) -> None:
    """Connecting alone would prove nothing: the kernel does it."""
    server.pause()
    with connect(server.url, command_timeout=0.2) as redis, pytest.raises(RedisError):
        ScriptGroups(redis)
