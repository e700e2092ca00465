"""Scripts run in groups, on one connection that nobody waits for: many writes, one fsync, one round trip.

Redis answers a group once it has written all of it to its append-only file, so a group of sixteen costs it a
quarter of what sixteen single calls do. redis-py has no such mode: it connects here, with TLS, rights and
Sentinel as everywhere, and its socket is then read and written without blocking. This module alone knows its
inside.
"""

import socket
import ssl
from collections.abc import Sequence
from typing import Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from receiver.datastore.replication import CONFIRMED_WITHIN, READY, TOUCH, Unreplicated, replicas_of
from receiver.datastore.scripts.runner import ScriptCall

NOT_YET: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
RECEIVED_AT_ONCE: Final = 64 * 1024
LONGEST_REPLY: Final = 64 * 1024
END_OF_LINE: Final = b"\r\n"
IS_REPLICA: Final = "READONLY"
"""The beginning of the error with which a replica refuses to write."""
PING: Final = b"*1\r\n$4\r\nPING\r\n"

Reply = int | ResponseError
"""What a script returned, or why Redis did not run it."""


class ScriptGroups:
    """A connection that runs one group of scripts at a time. After an error it must be closed.

    Making one connects and blocks; nothing else does. All methods but `close` raise `RedisError`.
    """

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._replicas = replicas_of(redis)
        self._connection = self._pool.get_connection()
        try:
            # A fresh one: its handshake proves that this Redis answers now.
            self._connection.disconnect()  # type: ignore[no-untyped-call]  # no types there
            self._connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            self.close()
            raise
        self.socket: socket.socket = self._connection._get_socket()  # type: ignore[assignment]  # noqa: SLF001 - see above
        self.socket.setblocking(False)
        self._unsent = memoryview(b"")
        self._received = b""
        self._replies: list[int | ResponseError | None] = []
        self._awaited = 0

    @property
    def is_busy(self) -> bool:
        """Whether the replies to what was sent are still to come."""
        return self._awaited > 0

    @property
    def is_sending(self) -> bool:
        """Whether the socket has not taken all of it yet; `send_rest` goes on once it is writable."""
        return len(self._unsent) > 0

    def send(self, calls: Sequence[ScriptCall]) -> None:
        """Send a group, after the replies to the last one."""
        parts = [_packed(call) for call in calls]
        self._awaited = len(calls)
        if self._replicas:
            parts += [pack(b"EVAL", TOUCH.text, 1, READY), pack(b"WAIT", self._replicas, CONFIRMED_WITHIN)]
            self._awaited += 2
        self._send(b"".join(parts))

    def ping(self) -> None:
        """Send a group of no scripts, so that a connection which has been cut is noticed."""
        self._awaited = 1
        self._send(PING)

    def _send(self, data: bytes) -> None:
        self._unsent = memoryview(data)
        self.send_rest()

    def send_rest(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except NOT_YET:
            return
        except OSError as error:
            raise RedisConnectionError(f"Error while writing to socket. {error}.") from error

    def receive(self) -> list[Reply] | None:
        """The replies to the group, in its order, once all are there; `None` before.

        Raises `Unreplicated` if too few replicas have confirmed the group.
        """
        try:
            data = self.socket.recv(RECEIVED_AT_ONCE)
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                data += self.socket.recv(RECEIVED_AT_ONCE)
        except NOT_YET:
            return None
        except OSError as error:
            raise RedisConnectionError(f"Error while reading from socket. {error}.") from error
        if not data:
            raise RedisConnectionError("Connection closed by server.")
        lines = (self._received + data).split(END_OF_LINE)
        self._received = lines.pop()
        self._replies += map(_read, lines)
        if len(self._replies) > self._awaited or len(self._received) > LONGEST_REPLY:
            raise RedisConnectionError("Redis sent what nobody asked for.")
        return self._group() if self._awaited and len(self._replies) == self._awaited else None

    def _group(self) -> list[Reply]:
        replies, self._replies, self._awaited = self._replies, [], 0
        if self._replicas and len(replies) > 1:
            *replies, _, confirmed = replies
            if not isinstance(confirmed, int) or confirmed < self._replicas:
                raise Unreplicated(confirmed if isinstance(confirmed, int) else 0, self._replicas)
        if any(isinstance(reply, ResponseError) and str(reply).startswith(IS_REPLICA) for reply in replies):
            # It need not end this connection, which is to go to the new master, as redis-py's others do.
            raise RedisConnectionError("The master has become a replica.")
        return [reply for reply in replies if reply is not None]

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]
        self._pool.release(self._connection)


def pack(*words: bytes | str | float) -> bytes:
    """A command as Redis reads it. https://redis.io/docs/latest/develop/reference/protocol-spec/"""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if not isinstance(word, bytes):
            word = (word if isinstance(word, str) else str(word)).encode()  # noqa: PLW2901 - the same word
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


def _packed(call: ScriptCall) -> bytes:
    return pack(b"EVALSHA", call.script.digest, len(call.keys), *call.keys, *call.arguments)


def _read(line: bytes) -> int | ResponseError | None:
    kind, rest = line[:1], line[1:]
    if kind == b":":
        return int(rest)
    if kind == b"-":
        return ResponseError(rest.decode(errors="replace"))
    if kind == b"+":
        return None
    raise RedisConnectionError("Redis sent another kind of reply than scripts of ours give.")
