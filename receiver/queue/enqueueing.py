"""Recognising a repeated delivery and queueing its changes, in one atomic step in Redis."""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError
from rq.job import Job
from rq.utils import utcformat

from apitraffic_events.timestamps import now
from receiver.datastore.failures import in_words
from receiver.datastore.replication import READY, Unreplicated, replicas_of, write_replicated
from receiver.errors import StorageUnavailable
from receiver.events import Change, is_urgent
from receiver.observability.trace_context import TRACEPARENT, carried
from receiver.queue.queues import (
    BELL,
    delivery_queues,
    job_data_and_names,
    job_description,
    job_id_stem,
    job_of,
)

SEEN_PREFIX: Final = "apitraffic:seen:"
SEEN_LIFETIME: Final = 14 * 86_400
"""Seconds; longer than any sender redelivers (GitHub 3 days, GitLab 7)."""

ENQUEUE_SCRIPT: Final = """
-- KEYS: seen, set of queues, bell, then for each change its job's hash and its queue
-- ARGV: seconds to remember, time, then for each job its id, its data, its description, its marker's names
-- and its queue's name; at last, where there is a trace, the meta of all
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
    return 0
end
local first = 3
for index = 4, #KEYS, 2 do
    redis.call('HSET', KEYS[index], 'created_at', ARGV[2], 'enqueued_at', ARGV[2], 'data', ARGV[first + 1],
        'description', ARGV[first + 2], 'names', ARGV[first + 3], 'origin', ARGV[first + 4], %s)
    redis.call('RPUSH', KEYS[index + 1], ARGV[first])
    redis.call('SADD', KEYS[2], KEYS[index + 1])
    first = first + 5
end
if ARGV[first] then
    for index = 4, #KEYS, 2 do
        redis.call('HSET', KEYS[index], 'meta', ARGV[first])
    end
end
redis.call('LPUSH', KEYS[3], '1')
redis.call('LTRIM', KEYS[3], 0, 31)
redis.call('EXPIRE', KEYS[3], 3600)
return 1
"""
"""What RQ's `Queue.enqueue` does in eight commands and two round trips, and the dedupe besides, in one.

What all jobs have in common is part of the script: it need not be made and sent again for each.
"""
OF_EACH_JOB: Final = frozenset({"created_at", "enqueued_at", "data", "description", "origin"})


class Enqueuer:
    """Puts changes into the queue.

    Redis keys: `apitraffic:seen:<source>:<delivery id>`, 14 days; RQ's own under `apitraffic:rq:`, until the
    job is done.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._urgent, self._routine = delivery_queues(redis)
        self._script: Script | None = None
        self._is_replicated = replicas_of(redis) > 0
        self._of_thread = threading.local()

    def enqueue(self, changes: Sequence[Change]) -> bool:
        """Queue the changes of one delivery and say `True`; `False` where it was queued before.

        Raises `StorageUnavailable` where that is not certain.
        """
        delivery = changes[0].delivery
        stem = job_id_stem(delivery.source, delivery.id)
        keys = [
            f"{SEEN_PREFIX}{delivery.source}:{delivery.id}",
            self._routine.redis_queues_keys,
            BELL,
        ]
        arguments: list[str | bytes | int] = [SEEN_LIFETIME, utcformat(now())]
        for number, change in enumerate(changes):
            job_id = f"{stem}-{number}"
            queue = self._urgent if is_urgent(change) else self._routine
            keys += [Job.key_for(job_id), queue.key]
            data, names = job_data_and_names(change)
            arguments += [job_id, data, job_description(change), names, queue.name]
        if (traceparent := carried()) is not None:
            arguments.append(self._routine.serializer.dumps({TRACEPARENT: traceparent}))
        try:
            return bool(self._run(self._script_for(changes[0]), len(keys), *keys, *arguments))
        except Unreplicated as error:
            raise StorageUnavailable(str(error)) from error
        except RedisError as error:
            raise StorageUnavailable(f"Redis: {in_words(error)}") from error

    def check(self) -> None:
        """Prove that Redis takes a write, as `enqueue` needs; raises `StorageUnavailable`.

        A PING would also be answered by a replica, or by a Redis that has no memory left.
        """
        try:
            write_replicated(self._redis, lambda pipeline: pipeline.set(READY, 1, ex=60))
        except Unreplicated as error:
            raise StorageUnavailable(str(error)) from error
        except RedisError as error:
            raise StorageUnavailable(f"Redis: {in_words(error)}") from error

    def _run(self, script: Script, *arguments: str | bytes | int) -> object:
        try:
            return self._send("EVALSHA", script.sha, *arguments)
        except NoScriptError:
            return self._send("EVAL", script.script, *arguments)

    def _send(self, *command: str | bytes | int | memoryview) -> object:
        """Run the script on this thread's own connection, which saves what a pool does around a command."""
        if self._is_replicated:
            (answer,) = write_replicated(
                self._redis,
                lambda pipeline: pipeline.execute_command(*command),  # type: ignore[no-untyped-call]
            )
            return answer
        redis: Redis | None = getattr(self._of_thread, "redis", None)
        if redis is None:
            redis = self._of_thread.redis = self._redis.client()  # type: ignore[no-untyped-call]
        return redis.execute_command(*command)

    def _script_for(self, example: Change) -> Script:
        """The script, made with the first delivery: RQ itself says what a job's hash holds."""
        if self._script is None:
            fields = job_of(example, "example", self._routine).to_dict()
            common = {name: value for name, value in fields.items() if name not in OF_EACH_JOB}
            self._script = self._redis.register_script(ENQUEUE_SCRIPT % _as_lua(common))
        return self._script


def _as_lua(fields: Mapping[str, object]) -> str:
    """`'timeout', '120', …`; raises `ValueError` for what would need escaping."""
    words = [str(getattr(word, "value", word)) for pair in fields.items() for word in pair]
    if not all(re.fullmatch(r"[\w.,:\[\]-]*", word) for word in words):
        raise ValueError(f"a job's fields cannot be written into a script: {words}")
    return ", ".join(f"'{word}'" for word in words)
