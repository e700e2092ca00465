"""Checks of what waits: queues, workers, the pause of the line, dead letters, quarantine."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from receiver.doctor.findings import Finding, failure, ok, warning
from receiver.monitoring.status import QueueStatus

LONG: Final = timedelta(minutes=10)
"""A change that waits longer is not merely behind a burst."""


def backlog(found: QueueStatus, moment: datetime) -> Iterator[Finding]:
    yield workers(found)
    yield line(found)
    yield queue(found, moment)
    yield dead_letters(found)
    yield quarantine(found)


def workers(found: QueueStatus) -> Finding:
    if found.workers:
        return ok("workers", f"{len(found.workers)} at work")
    waiting = sum(queue.waiting + queue.in_work + queue.to_retry for queue in found.queues)
    advice = "start one: apitraffic-events worker"
    if waiting:
        return failure("workers", f"none, while changes wait: {waiting}", advice)
    return warning("workers", "none", advice)


def line(found: QueueStatus) -> Finding:
    if found.pause is None:
        return ok("line", "not paused")
    return failure(
        "line",
        f"delivery is paused: {found.pause.reason}",
        "mend the token, the account or the address; workers look every minute, nothing is lost",
    )


def queue(found: QueueStatus, moment: datetime) -> Finding:
    if found.oldest_at is None:
        return ok("queue", "nothing waits")
    waiting = sum(queue.waiting + queue.in_work for queue in found.queues)
    to_retry = sum(queue.to_retry for queue in found.queues)
    age = max(timedelta(), moment - found.oldest_at)
    words = f"waiting: {waiting}, for another try: {to_retry}; the oldest for {_words(age)}"
    if age < LONG:
        return ok("queue", words)
    return warning("queue", words, "the workers' log says why: API failing, budget used up? else start more")


def dead_letters(found: QueueStatus) -> Finding:
    if not found.dead_letters:
        return ok("dead_letters", "none")
    return warning(
        "dead_letters",
        f"changes that were given up: {found.dead_letters}",
        "apitraffic-events deadletters list says why, deadletters replay tries them again",
    )


def quarantine(found: QueueStatus) -> Finding:
    if not found.quarantined:
        return ok("quarantine", "empty")
    return warning(
        "quarantine",
        f"deliveries that were not understood: {found.quarantined}",
        "apitraffic-events quarantine list says why; quarantine replay after an upgrade",
    )


def _words(age: timedelta) -> str:
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    if minutes < 2:  # noqa: PLR2004 - reads as it says
        return f"{minutes * 60 + seconds} s"
    return f"{minutes} min" if minutes < 2 * 60 else f"{minutes // 60} h"
