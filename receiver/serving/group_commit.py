"""Deliveries on their way to Redis, in groups: what one turn of the event loop has received goes together.

While Redis writes one group, the next one gathers. So the groups grow with the load, and a single delivery
does not wait. Everything here runs on the event loop but the connecting, which blocks and has a thread of its
own.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Final, Generic, Protocol, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.datastore.address import COMMAND_TIMEOUT, CONNECT_TIMEOUT
from receiver.datastore.failures import explain
from receiver.datastore.replication import Unreplicated
from receiver.datastore.script_group import Reply, ScriptGroups
from receiver.datastore.scripts.runner import ScriptCall

MOST_IN_GROUP: Final = 64
RECONNECT_PAUSE: Final = 1.0
"""Seconds between attempts to connect."""
PING_AFTER: Final = 30.0
"""Seconds without a group after which the connection is tried, as redis-py's `health_check_interval` does."""
LEFT_ALONE: Final = CONNECT_TIMEOUT + COMMAND_TIMEOUT + RECONNECT_PAUSE
"""Seconds for which a Redis that has not answered in time is left alone: one more attempt to connect."""

ItemT = TypeVar("ItemT")


class Store(Protocol):
    """What is told how Redis is; `receiver.reception.delivery_store.DeliveryStore`."""

    def redis_failed(self, reason: str) -> None: ...

    def leave_redis_alone(self, seconds: float) -> None: ...

    def redis_answers(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Loop:
    """The event loop: its poller, and what runs a function on it that another thread passes."""

    poller: BaseSelector
    defer: Callable[..., None]


class GroupCommit(Generic[ItemT]):
    """Runs the scripts of items, and passes each item on with the reply to it.

    `None` stands for a script that may not have been run, and has to be run in the ordinary way; all scripts
    here may be run twice.
    """

    def __init__(
        self,
        redis: Redis,
        store: Store,
        loop: Loop,
        replied: Callable[[ItemT, int | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._store = store
        self._loop = loop
        self._replied = replied
        self._clock = clock
        self._groups: ScriptGroups | None = None
        self._waiting: list[tuple[ItemT, ScriptCall]] = []
        self._sent: Sequence[ItemT] = ()
        self._deadline = 0.0
        self._connected_at: float | None = clock()
        """When to connect; `None` while it is tried or done."""
        self._is_left_alone = False

    @property
    def is_open(self) -> bool:
        return self._groups is not None

    @property
    def is_awaiting(self) -> bool:
        """Whether time may run out."""
        return self._groups is not None and self._groups.is_busy

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def add(self, item: ItemT, call: ScriptCall) -> None:
        """Let it go with the next group. Only while this is open."""
        self._waiting.append((item, call))

    def flush(self) -> None:
        """Send what waits, unless a group is under way. To be called at the end of each turn of the loop."""
        groups = self._groups
        if groups is None or groups.is_busy or not self._waiting:
            return
        group, self._waiting = self._waiting[:MOST_IN_GROUP], self._waiting[MOST_IN_GROUP:]
        self._sent = [item for item, _ in group]
        self._send(groups, lambda: groups.send([call for _, call in group]))

    def _send(self, groups: ScriptGroups, send: Callable[[], None]) -> None:
        self._deadline = self._clock() + COMMAND_TIMEOUT
        try:
            send()
        except RedisError as error:
            self._fail(error)
            return
        if groups.is_sending:
            self._poll(groups, EVENT_READ | EVENT_WRITE)

    def _poll(self, groups: ScriptGroups, events: int) -> None:
        self._loop.poller.modify(groups.socket, events, partial(self._ready, groups))

    def _ready(self, groups: ScriptGroups, _socket: object) -> None:
        if groups is not self._groups:
            return
        try:
            if groups.is_sending:
                groups.send_rest()
                if not groups.is_sending:
                    self._poll(groups, EVENT_READ)
            replies = groups.receive()
        except (RedisError, Unreplicated) as error:
            self._fail(error)
            return
        if replies is not None:
            self._pass_on(replies)

    def _pass_on(self, replies: Sequence[Reply]) -> None:
        items, self._sent = self._sent, ()
        self._deadline = self._clock() + PING_AFTER
        for item, reply in zip(items, replies, strict=False):
            self._replied(item, reply if isinstance(reply, int) else None)

    def check(self) -> None:
        """Give up what takes too long, try an idle connection, connect. To be called every second or so."""
        groups, now = self._groups, self._clock()
        if groups is None:
            if self._connected_at is not None and now >= self._connected_at:
                self._connected_at = None
                threading.Thread(target=self._connect, name="connect-to-redis", daemon=True).start()
        elif now >= self._deadline:
            if groups.is_busy:
                self._fail(RedisTimeoutError("Timeout reading from socket"))
            else:
                self._send(groups, groups.ping)

    def _connect(self) -> None:
        """In a thread of its own."""
        try:
            groups = ScriptGroups(self._redis)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread ends and the next one tries again
            self._loop.defer(self._not_connected, error)
        else:
            self._loop.defer(self._connected, groups)

    def _connected(self, groups: ScriptGroups) -> None:
        self._groups = groups
        self._deadline = self._clock() + PING_AFTER
        self._loop.poller.register(groups.socket, EVENT_READ, partial(self._ready, groups))
        if self._is_left_alone:
            self._is_left_alone = False
            self._store.redis_answers()

    def _not_connected(self, error: Exception) -> None:
        self._connected_at = self._clock() + RECONNECT_PAUSE
        if isinstance(error, RedisTimeoutError):
            self._leave_alone()

    def _fail(self, error: RedisError | Unreplicated) -> None:
        """Pass everything back. A Redis that hangs is left alone: no delivery is to wait for it again."""
        self.close()
        if isinstance(error, RedisTimeoutError):
            self._store.redis_failed(f"Redis: {explain(error)}")
            self._leave_alone()
        elif isinstance(error, Unreplicated):
            self._store.redis_failed(str(error))
        self._connected_at = self._clock()
        items = [*self._sent, *(item for item, _ in self._waiting)]
        self._sent, self._waiting = (), []
        for item in items:
            self._replied(item, None)

    def _leave_alone(self) -> None:
        """Until the next attempt to connect has shown whether Redis answers again."""
        self._is_left_alone = True
        self._store.leave_redis_alone(LEFT_ALONE)

    def close(self) -> None:
        if self._groups is not None:
            self._loop.poller.unregister(self._groups.socket)
            self._groups.close()
            self._groups = None
