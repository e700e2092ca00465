"""Notes in Redis that a request about a marker begins, so that the marker is in doubt if the worker dies.

What several threads want noted at the same time is sent together.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from apitraffic_events.timestamps import now
from receiver.datastore.keys import keys_of
from receiver.datastore.replication import Unreplicated, run_replicated
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.delivery.marker_lock import MustWait
from receiver.delivery.marker_scripts import MARKER_CONSTANTS, MarkerSave
from receiver.queue.throughput import key_of_this_minute
from receiver.worker.acks import Arguments, arguments_of
from receiver.worker.in_hand import InHand

NOTE_DOUBTS: Final = Script("note_doubts", MARKER_CONSTANTS)


class Doubt:
    """A doubt that is to be noted; `reply` is what `note_doubts.lua` returns for it."""

    __slots__ = ("account", "error", "reply", "save")

    def __init__(self, save: MarkerSave, account: str | None) -> None:
        self.save = save
        self.account = account
        self.reply: str | None = None
        self.error: BaseException | None = None


class DoubtNotes:
    """Notes doubts for all threads of a worker. `worker_keys` are those of the worker and its executions."""

    def __init__(self, redis: Redis, in_hand: InHand, worker_keys: Sequence[str]) -> None:
        self._redis = redis
        self._in_hand = in_hand
        self._worker_keys = worker_keys
        self._doubts: deque[Doubt] = deque()
        self._noting = threading.Lock()

    def note(self, save: MarkerSave, account: str | None = None) -> bool:
        """Save the account's marker before a request about it begins; returns whether its lock was still
        held.

        What several threads want noted meanwhile, and the acks that are to be sent, go along. Raises
        `MustWait` if delivery to the account is paused or its budget is used up, and as `MarkerLock.save`
        does.
        """
        doubt = Doubt(save, account)
        self._doubts.append(doubt)
        with self._noting:
            while doubt.reply is None and doubt.error is None:
                self._send()
        if doubt.error is not None:
            raise doubt.error
        if doubt.reply == "wait":
            raise MustWait
        return doubt.reply == "1"

    def _send(self) -> None:
        """Those that come first and are of the same account."""
        doubts = [self._doubts.popleft()]
        while self._doubts and self._doubts[0].account == doubts[0].account:
            doubts.append(self._doubts.popleft())
        own = keys_of(doubts[0].account)
        acks = self._in_hand.take_unsent()
        saves: Arguments = [word for doubt in doubts for word in (*doubt.save.keys, *doubt.save.arguments)]
        keys = [*self._worker_keys, key_of_this_minute(), own.pause, own.budget]
        arguments = [now().timestamp(), len(doubts), len(saves) // len(doubts), *saves, *arguments_of(acks)]
        try:
            done, replies = run_replicated(self._redis, NOTE_DOUBTS, keys, arguments)
        except BaseException as error:
            self._in_hand.put_back(acks)
            is_of_all = isinstance(error, RedisError | Unreplicated)
            for doubt in doubts:
                # What interrupts this thread is not the others' concern: they try again.
                doubt.error = error if is_of_all else RedisConnectionError("sending was interrupted")
            if not is_of_all:
                raise
            return
        self._in_hand.note_sent(acks, done)
        for doubt, reply in zip(doubts, replies, strict=True):
            doubt.reply = as_text(reply)
