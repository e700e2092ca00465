"""Taking jobs off the queues: the urgent ones first, none while the line is paused or the budget is used up.

RQ takes from one queue reliably (a job moves to a list of its own until its worker has begun) or from several
with a command that loses the job if the worker dies at that moment. This does the former from two, in one
atomic step together with the look at the line and the budget.
"""

import time
from collections.abc import Iterable
from typing import Any, Final

from redis import Redis
from rq import Queue
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.utils import as_text

from receiver.pacing import BUDGET, LINE, MARGIN, RESERVED_SHARE
from receiver.queues import BELL
from receiver.timestamps import now

LONGEST_WAIT: Final = 1.0
"""Seconds between looks at the queues where nobody rings: retries and jobs put back do not."""

TAKE_SCRIPT: Final = """
-- KEYS: line, budget, urgent queue, its jobs on the way, routine queue, its jobs on the way
-- ARGV: now, margin, reserved share, prefix of jobs' keys
-- The queue's key, the job's id and its fields, or nothing.
local function taken(queue, on_the_way)
    local id = redis.call('LMOVE', queue, on_the_way, 'LEFT', 'RIGHT')
    while id do
        -- What has no call is the remains of a job that was done twice at once; RQ would quit over it.
        if redis.call('HGET', ARGV[4] .. id, 'data') then
            return {queue, id, redis.call('HGETALL', ARGV[4] .. id)}
        end
        redis.call('DEL', ARGV[4] .. id)
        redis.call('LREM', on_the_way, -1, id)
        id = redis.call('LMOVE', queue, on_the_way, 'LEFT', 'RIGHT')
    end
    return false
end
local moment = tonumber(ARGV[1])
local paused_until = redis.call('HGET', KEYS[1], 'until')
if paused_until and moment < tonumber(paused_until) then
    return false
end
local limit, remaining, reset, blocked =
    unpack(redis.call('HMGET', KEYS[2], 'limit', 'remaining', 'reset', 'blocked'))
if blocked and moment < tonumber(blocked) then
    return false
end
local kept = -1
if limit and moment < tonumber(reset) + tonumber(ARGV[2]) then
    kept = math.ceil(tonumber(limit) / tonumber(ARGV[3]))
    if tonumber(remaining) <= 0 then
        return false
    end
end
local job = taken(KEYS[3], KEYS[4])
if job then
    return job
end
if kept >= 0 and tonumber(remaining) <= kept then
    return false
end
return taken(KEYS[5], KEYS[6])
"""


class DeliveryQueue(Queue):
    """An RQ queue that is dequeued together with its fellow, by the rules above."""

    @classmethod
    def dequeue_any(
        cls,
        queues: Iterable[Queue],
        timeout: int | None,
        connection: Redis,
        job_class: type[Job] | None = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> tuple[Job, Queue] | None:
        """The next job and its queue; where there is none `None`, or `DequeueTimeout` if it was to wait."""
        urgent, routine = queues
        keys = [
            LINE,
            BUDGET,
            urgent.key,
            urgent.intermediate_queue_key,
            routine.key,
            routine.intermediate_queue_key,
        ]
        take = connection.register_script(TAKE_SCRIPT)
        deadline = time.monotonic() + (timeout or 0)
        while True:
            taken = take(keys=keys, args=[now().timestamp(), MARGIN, RESERVED_SHARE, Job.key_for("")])
            if taken:
                queue_key, job_id, fields = taken
                job = (job_class or Job)(as_text(job_id), connection, serializer)
                job.restore(dict(zip(fields[::2], fields[1::2], strict=True)))
                return job, urgent if as_text(queue_key) == urgent.key else routine
            if timeout is None:
                return None
            if time.monotonic() >= deadline:
                raise DequeueTimeout(timeout, [urgent.key, routine.key])
            connection.blpop([BELL], timeout=LONGEST_WAIT)
