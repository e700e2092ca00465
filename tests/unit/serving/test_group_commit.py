"""Groups of scripts on the event loop. The test moves the clock, and pairs of sockets stand for Redis."""

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.datastore.address import COMMAND_TIMEOUT, ReplicatedPool
from receiver.datastore.scripts.runner import Script, ScriptCall
from receiver.serving.group_commit import (
    LEFT_ALONE,
    MOST_IN_GROUP,
    PING_AFTER,
    RECONNECT_PAUSE,
    GroupCommit,
    Loop,
)

CALL = ScriptCall(Script("run_commands"), ["key"], ["argument"])
AT_ONCE = 65_536
ENOUGH = 5
"""Seconds in which a thread of this process connects to a pair of sockets."""


class OneEnd:
    """What the groups use of a connection of redis-py."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.is_connected = True

    def connect(self) -> None:
        self.is_connected = True

    def disconnect(self) -> None:
        self.is_connected = False

    def _get_socket(self) -> socket.socket:
        return self._end


class Pairs(ReplicatedPool):
    """Instead of connecting, it makes a pair of sockets and keeps the other end; or raises `failure`."""

    def __init__(self) -> None:
        self.replicas = 0
        self.failure: Exception | None = None
        self.ends: list[socket.socket] = []
        self.used: list[OneEnd] = []

    def get_connection(self, *_names: Any, **_options: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        ours, theirs = socket.socketpair()
        theirs.settimeout(ENOUGH)
        self.ends.append(theirs)
        self.used.append(OneEnd(ours))
        return self.used[-1]

    def release(self, connection: Any) -> None:
        self.used.remove(connection)
        connection._get_socket().close()  # noqa: SLF001 - our own


class Rig:
    """A loop whose turns the test takes, and all that it was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pool = Pairs()
        self.poller = DefaultSelector()
        self.deferred: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.told: list[tuple[str, Any]] = []
        self.replied: list[tuple[str, int | None]] = []
        self.commit: GroupCommit[str] = GroupCommit(
            cast("Redis", SimpleNamespace(connection_pool=self.pool)),
            self,
            Loop(self.poller, lambda function, *given: self.deferred.put(partial(function, *given))),
            lambda item, reply: self.replied.append((item, reply)),
            lambda: self.now,
        )

    def redis_failed(self, reason: str) -> None:
        self.told.append(("failed", reason))

    def leave_redis_alone(self, seconds: float) -> None:
        self.told.append(("left alone", seconds))

    def redis_answers(self) -> None:
        self.told.append(("answers", None))

    def connect(self) -> socket.socket:
        """The other end of the connection that is made."""
        self.try_to_connect()
        assert self.commit.is_open
        return self.pool.ends[-1]

    def try_to_connect(self) -> None:
        self.commit.check()
        self.deferred.get(timeout=ENOUGH)()

    def turn(self) -> None:
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)
        self.commit.flush()

    def add(self, *items: str) -> None:
        for item in items:
            self.commit.add(item, CALL)
        self.commit.flush()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.commit.check()

    @property
    def is_connecting(self) -> bool:
        return any(thread.name == "connect-to-redis" for thread in threading.enumerate()) or bool(
            self.deferred.qsize()
        )


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.commit.close()
    rig.poller.close()
    for end in rig.pool.ends:
        end.close()


def test_what_comes_while_a_group_is_under_way_makes_the_next(rig: Rig) -> None:
    redis = rig.connect()
    rig.add("a")
    rig.add("b", "c")
    assert redis.recv(AT_ONCE).count(b"EVALSHA") == 1
    assert len(rig.commit) == 3
    redis.sendall(b":1\r\n")
    rig.turn()
    assert rig.replied == [("a", 1)]
    assert redis.recv(AT_ONCE).count(b"EVALSHA") == 2
    redis.sendall(b":0\r\n:1\r\n")
    rig.turn()
    assert rig.replied == [("a", 1), ("b", 0), ("c", 1)]
    assert not len(rig.commit)
    assert not rig.commit.is_awaiting


def test_a_group_has_a_most_and_the_rest_goes_with_the_next(rig: Rig) -> None:
    redis = rig.connect()
    rig.add("first")
    redis.recv(AT_ONCE)
    rig.add(*(str(number) for number in range(MOST_IN_GROUP + 2)))
    redis.sendall(b":1\r\n")
    rig.turn()
    assert redis.recv(AT_ONCE).count(b"EVALSHA") == MOST_IN_GROUP
    redis.sendall(b":1\r\n" * MOST_IN_GROUP)
    rig.turn()
    assert redis.recv(AT_ONCE).count(b"EVALSHA") == 2


def test_replies_in_pieces_are_passed_on_once_all_are_there(rig: Rig) -> None:
    redis = rig.connect()
    rig.add("a", "b")
    for piece in (b":1", b"\r\n:", b"0\r"):
        redis.sendall(piece)
        rig.turn()
        assert rig.replied == []
    redis.sendall(b"\n")
    rig.turn()
    assert rig.replied == [("a", 1), ("b", 0)]


def test_an_error_is_of_its_own_script_and_the_connection_stays(rig: Rig) -> None:
    redis = rig.connect()
    rig.add("a", "b", "c")
    redis.sendall(b":1\r\n-NOSCRIPT No matching script.\r\n:1\r\n")
    rig.turn()
    assert rig.replied == [("a", 1), ("b", None), ("c", 1)]
    assert rig.commit.is_open


def test_replies_before_the_end_of_the_connection_count(rig: Rig) -> None:
    redis = rig.connect()
    rig.add("a", "b")
    redis.sendall(b":1\r\n:1\r\n")
    redis.close()
    rig.turn()
    rig.turn()
    assert rig.replied == [("a", 1), ("b", 1)]
    assert not rig.commit.is_open


@pytest.mark.parametrize("sent", [b"", b":1\r\n", b":1\r\n:1", b":1\r\n:1\r\n:1\r\n", b"$2\r\nOK\r\n"])
def test_a_group_without_its_replies_is_to_be_stored_in_the_ordinary_way(rig: Rig, sent: bytes) -> None:
    """If the connection ends before all are there, or they are no replies to this group."""
    redis = rig.connect()
    rig.add("a", "b")
    rig.add("waits")
    redis.sendall(sent)
    redis.shutdown(socket.SHUT_WR)
    rig.turn()
    if rig.commit.is_open:
        rig.turn()
    assert rig.replied == [("a", None), ("b", None), ("waits", None)]
    assert not rig.pool.used
    assert not rig.poller.get_map()
    assert rig.told == []


def test_after_a_connection_has_ended_the_next_is_made_at_once_and_then_after_pauses(rig: Rig) -> None:
    rig.connect().close()
    rig.turn()
    rig.pool.failure = RedisConnectionError("Connection refused.")
    rig.try_to_connect()
    rig.pass_time(RECONNECT_PAUSE / 2)
    assert not rig.is_connecting
    rig.pool.failure = None
    rig.now += RECONNECT_PAUSE / 2
    rig.connect()
    assert rig.told == []


def test_a_redis_that_does_not_answer_in_time_is_left_alone_until_it_can_be_connected_to(rig: Rig) -> None:
    rig.connect()
    rig.add("a")
    rig.add("waits")
    rig.pass_time(COMMAND_TIMEOUT - 0.1)
    assert rig.replied == []
    rig.pass_time(0.1)
    assert rig.replied == [("a", None), ("waits", None)]
    assert rig.told == [("failed", "Redis: Timeout reading from socket"), ("left alone", LEFT_ALONE)]
    rig.pool.failure = RedisTimeoutError("Timeout connecting to server")
    rig.try_to_connect()
    assert rig.told[2:] == [("left alone", LEFT_ALONE)]
    rig.pool.failure = None
    rig.now += RECONNECT_PAUSE
    rig.connect()
    assert rig.told[3:] == [("answers", None)]


def test_the_reply_to_a_group_that_was_given_up_is_no_reply_to_the_next(rig: Rig) -> None:
    late = rig.connect()
    rig.add("a")
    rig.pass_time(COMMAND_TIMEOUT)
    redis = rig.connect()
    rig.add("b")
    with pytest.raises(OSError, match="Broken pipe"):
        late.sendall(b":0\r\n")
    redis.sendall(b":1\r\n")
    rig.turn()
    assert rig.replied == [("a", None), ("b", 1)]


def test_an_idle_connection_is_tried_and_one_that_was_cut_is_replaced(rig: Rig) -> None:
    redis = rig.connect()
    rig.pass_time(PING_AFTER)
    assert redis.recv(AT_ONCE) == b"*1\r\n$4\r\nPING\r\n"
    rig.add("meanwhile")
    redis.sendall(b"+PONG\r\n")
    rig.turn()
    assert b"EVALSHA" in redis.recv(AT_ONCE)
    redis.sendall(b":1\r\n")
    rig.turn()
    rig.pass_time(PING_AFTER)
    rig.pass_time(COMMAND_TIMEOUT)
    assert not rig.commit.is_open
    assert rig.replied == [("meanwhile", 1)]


def test_a_group_that_the_socket_takes_in_parts_is_sent_whole(rig: Rig) -> None:
    redis = rig.connect()
    large = ScriptCall(CALL.script, [], [b"x" * 1_000_000])
    rig.commit.add("a", large)
    rig.commit.flush()
    received = bytearray()
    while len(received) < 1_000_000 or not received.endswith(b"\r\n"):
        received += redis.recv(AT_ONCE)
        rig.turn()
    redis.sendall(b":1\r\n")
    rig.turn()
    assert rig.replied == [("a", 1)]
    rig.turn()
    assert not rig.poller.select(0)


@pytest.mark.parametrize(("confirmed", "reply"), [(b":2\r\n", 1), (b":1\r\n", None), (b"-ERR\r\n", None)])
def test_a_group_counts_once_enough_replicas_have_confirmed_it(
    rig: Rig, confirmed: bytes, reply: int | None
) -> None:
    rig.pool.replicas = 2
    redis = rig.connect()
    rig.add("a")
    rig.add("waits")
    sent = redis.recv(AT_ONCE)
    assert sent.index(b"EVALSHA") < sent.index(b"$4\r\nEVAL\r\n") < sent.index(b"$4\r\nWAIT\r\n$1\r\n2\r\n")
    redis.sendall(b":1\r\n+OK\r\n" + confirmed)
    rig.turn()
    assert rig.replied[:1] == [("a", reply)]
    if reply is None:
        count = 1 if confirmed == b":1\r\n" else 0
        assert rig.replied[1:] == [("waits", None)]
        assert rig.told == [("failed", f"Redis: {count} of 2 replicas confirmed within 1000 ms")]
        rig.connect()


def test_a_master_that_has_become_a_replica_is_left_for_the_new_one(rig: Rig) -> None:
    """Its connections stay open, so nothing else would end this one."""
    redis = rig.connect()
    rig.add("a", "b")
    redis.sendall(b":1\r\n-READONLY You can't write against a read only replica.\r\n")
    rig.turn()
    assert rig.replied == [("a", None), ("b", None)]
    assert not rig.commit.is_open
    rig.connect()


def test_nothing_that_goes_wrong_while_connecting_is_the_last_attempt(rig: Rig) -> None:
    rig.pool.failure = ValueError("not foreseen")
    rig.try_to_connect()
    rig.pool.failure = None
    rig.now += RECONNECT_PAUSE
    rig.connect()
