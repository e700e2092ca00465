"""Recognise a repeated delivery and queue its changes, in one atomic step in Redis."""

import threading
from collections.abc import Sequence
from typing import Final

from redis import Redis
from rq.job import Job
from rq.utils import utcformat

from apitraffic_events.timestamps import now
from receiver.datastore.replication import (
    READY,
    replicas_of,
    replication_required,
    run_replicated,
    write_replicated,
)
from receiver.datastore.scripts.runner import Script, ScriptCall
from receiver.events import Change
from receiver.observability.trace_context import TRACEPARENT, carried
from receiver.queue.delivery_log import DELIVERIES, LOG_CONSTANTS, entry_of
from receiver.queue.queues import (
    BELL,
    ROUTINE,
    delivery_queue,
    job_data_and_names,
    job_description,
    job_id_stem,
    job_of,
    queue_name_for,
)

SEEN_PREFIX: Final = "apitraffic:seen:"
SEEN_LIFETIME: Final = 14 * 86_400
"""Seconds; longer than any sender redelivers (GitHub 3 days, GitLab 7)."""

OF_EACH_JOB: Final = frozenset({"created_at", "enqueued_at", "data", "description", "origin"})
"""Fields of a job that are its own; the others are the same for all jobs."""


class Enqueuer:
    """Queues changes.

    Redis keys: `apitraffic:seen:<source>:<delivery id>`, for 14 days; RQ's own under `apitraffic:rq:`, until
    the job is done; an entry in `apitraffic:deliveries` (`receiver.queue.delivery_log`).
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._routine = delivery_queue(redis, ROUTINE)
        self._queue_keys: dict[str, str] = {}
        self._script: Script | None = None
        self._is_replicated = replicas_of(redis) > 0
        self._of_thread = threading.local()

    def enqueue(self, changes: Sequence[Change]) -> bool:
        """Queue the changes of one delivery; returns `False` if the delivery has been queued before.

        Raises `StorageUnavailable` if they may not have been stored.
        """
        call = self.call_for(changes)
        with replication_required():
            return bool(self._run(call))

    def call_for(self, changes: Sequence[Change], *, is_logged: bool = True) -> ScriptCall:
        """The atomic step that queues the changes of one delivery, unless that has been done before.

        It returns 1 or, in that case, 0. What no sender has delivered is not logged as a delivery.
        """
        delivery = changes[0].delivery
        stem = job_id_stem(delivery.source, delivery.id)
        keys = [
            f"{SEEN_PREFIX}{delivery.source}:{delivery.id}",
            self._routine.redis_queues_keys,
            BELL,
            DELIVERIES,
        ]
        entry = entry_of(changes).to_text() if is_logged else ""
        arguments: list[str | bytes | int] = [SEEN_LIFETIME, utcformat(now()), entry]
        for number, change in enumerate(changes):
            job_id = f"{stem}-{number}"
            queue = queue_name_for(change)
            keys += [Job.key_for(job_id), self._key_of(queue)]
            data, names = job_data_and_names(change)
            arguments += [job_id, data, job_description(change), names, queue]
        if (traceparent := carried()) is not None:
            arguments.append(self._routine.serializer.dumps({TRACEPARENT: traceparent}))
        return ScriptCall(self._script_for(changes[0]), keys, arguments)

    def _key_of(self, queue: str) -> str:
        """The key of the queue of this name: there are few, and RQ takes a while to make one."""
        key = self._queue_keys.get(queue)
        if key is None:
            key = self._queue_keys[queue] = delivery_queue(self._redis, queue).key
        return key

    def check(self) -> None:
        """Prove that Redis takes a write, as `enqueue` needs; raises `StorageUnavailable`.

        A PING would also be answered by a replica, or by a Redis that has no memory left.
        """
        with replication_required():
            write_replicated(self._redis, lambda pipeline: pipeline.set(READY, 1, ex=60))

    def _run(self, call: ScriptCall) -> object:
        """Run the script on this thread's own connection, which saves what a pool does around a command."""
        if self._is_replicated:
            return run_replicated(self._redis, call.script, call.keys, call.arguments)
        redis: Redis | None = getattr(self._of_thread, "redis", None)
        if redis is None:
            redis = self._of_thread.redis = self._redis.client()  # type: ignore[no-untyped-call]
        return call.script.run(redis, call.keys, call.arguments)

    def _script_for(self, example: Change) -> Script:
        """The script, made with the first delivery: RQ itself says which fields a job has."""
        if self._script is None:
            fields = job_of(example, "example", self._routine).to_dict()
            common = {name: value for name, value in fields.items() if name not in OF_EACH_JOB}
            words = [str(getattr(word, "value", word)) for pair in common.items() for word in pair]
            self._script = Script("enqueue", {"COMMON_FIELDS": words, **LOG_CONSTANTS})
        return self._script
