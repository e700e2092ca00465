"""Checks of what waits: queues, workers, the pause of the line, dead letters, quarantine."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from redis import Redis
from rq import Queue
from rq.utils import as_text
from rq.worker_registration import get_keys

from receiver.dead_letters import DeadLetters
from receiver.doctor.findings import Finding, failure, ok, warning
from receiver.events import one_line
from receiver.pacing import LINE
from receiver.quarantine import INDEX
from receiver.queues import delivery_queues
from receiver.timestamps import parse_timestamp

LONG: Final = timedelta(minutes=10)
"""A change that waits longer is not merely behind a burst."""
MANY: Final = 20
"""Jobs looked at for the oldest: those at the head of a queue came first, but for what was put back."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """`waiting` and `to_retry` are changes; `oldest_at` is when the oldest of the waiting was queued."""

    waiting: int
    to_retry: int
    oldest_at: datetime | None
    workers: int
    paused_because: str | None
    dead_letters: int
    quarantined: int


def read_backlog(redis: Redis) -> Backlog:
    """Raises `RedisError` and `StorageUnavailable`."""
    queues = delivery_queues(redis)
    paused_because = redis.hget(LINE, "reason")
    return Backlog(
        waiting=sum(queue.count for queue in queues),
        to_retry=sum(redis.zcard(queue.scheduled_job_registry.key) for queue in queues),
        oldest_at=min((moment for queue in queues for moment in _queued_at(queue)), default=None),
        workers=len({name for queue in queues for name in get_keys(queue)}),
        paused_because=None if paused_because is None else one_line(as_text(paused_because), 300),
        dead_letters=DeadLetters(queues).count(),
        quarantined=redis.zcard(INDEX),
    )


def backlog(found: Backlog, moment: datetime) -> Iterator[Finding]:
    yield workers(found)
    yield line(found)
    yield queue(found, moment)
    yield dead_letters(found)
    yield quarantine(found)


def workers(found: Backlog) -> Finding:
    if found.workers:
        return ok("workers", f"{found.workers} at work")
    advice = "start one: apitraffic-events worker"
    if found.waiting or found.to_retry:
        return failure("workers", f"none, while changes wait: {found.waiting + found.to_retry}", advice)
    return warning("workers", "none", advice)


def line(found: Backlog) -> Finding:
    if found.paused_because is None:
        return ok("line", "not paused")
    return failure(
        "line",
        f"delivery is paused: {found.paused_because}",
        "mend the token, the account or the address; workers look every minute, nothing is lost",
    )


def queue(found: Backlog, moment: datetime) -> Finding:
    retries = f"; waiting for another try: {found.to_retry}" if found.to_retry else ""
    if found.oldest_at is None:
        return ok("queue", f"nothing waits for a worker{retries}")
    age = max(timedelta(), moment - found.oldest_at)
    words = f"waiting: {found.waiting}, the oldest for {_words(age)}{retries}"
    if age < LONG:
        return ok("queue", words)
    return warning("queue", words, "the workers' log says why: API failing, budget used up? else start more")


def dead_letters(found: Backlog) -> Finding:
    if not found.dead_letters:
        return ok("dead_letters", "none")
    return warning(
        "dead_letters",
        f"changes that were given up: {found.dead_letters}",
        "apitraffic-events deadletters list says why, deadletters replay tries them again",
    )


def quarantine(found: Backlog) -> Finding:
    if not found.quarantined:
        return ok("quarantine", "empty")
    return warning(
        "quarantine",
        f"deliveries that were not understood: {found.quarantined}",
        "apitraffic-events quarantine list says why; quarantine replay after an upgrade",
    )


def _queued_at(queue: Queue) -> Iterator[datetime]:
    for job in queue.get_jobs(0, MANY):
        moment = parse_timestamp(job.enqueued_at)
        if moment is not None:
            yield moment


def _words(age: timedelta) -> str:
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    if minutes < 2:  # noqa: PLR2004 - reads as it says
        return f"{minutes * 60 + seconds} s"
    return f"{minutes} min" if minutes < 2 * 60 else f"{minutes // 60} h"
