"""Checks of the queues, the workers, a pause of delivery, dead letters and quarantine."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from receiver.doctor.findings import Finding, failure, of_account, ok, warning
from receiver.monitoring.status import Pause, QueueStatus
from receiver.queue.queues import account_of
from receiver.worker.recovery import has_ended_here

LONG: Final = timedelta(minutes=10)
"""A change that waits longer does not just wait for a burst to pass."""


def backlog(found: QueueStatus, moment: datetime) -> Iterator[Finding]:
    yield workers(found)
    yield line(found)
    for account in found.accounts:
        yield of_account(account.name, _line(account.pause))
    yield queue(found, moment)
    yield dead_letters(found)
    yield quarantine(found)


def workers(found: QueueStatus) -> Finding:
    running = [worker for worker in found.workers if not has_ended_here(worker.name)]
    if running:
        return ok("workers", f"{len(running)} running")
    waiting = sum(queue.pending for queue in found.queues)
    advice = "start one: apitraffic-events worker"
    if waiting:
        return failure("workers", f"none, but changes wait: {waiting}", advice)
    return warning("workers", "none", advice)


def line(found: QueueStatus) -> Finding:
    return _line(found.pause)


def _line(pause: Pause | None) -> Finding:
    if pause is None:
        return ok("line", "not paused")
    return failure(
        "line",
        f"delivery is paused: {pause.reason}",
        "correct the token, the account or the address; workers retry every minute, and nothing is lost",
    )


def queue(found: QueueStatus, moment: datetime) -> Finding:
    if found.oldest_at is None:
        return ok("queue", "nothing waits")
    waiting = sum(queue.waiting + queue.in_work for queue in found.queues)
    to_retry = sum(queue.to_retry for queue in found.queues)
    age = max(timedelta(), moment - found.oldest_at)
    words = f"waiting: {waiting}, to retry: {to_retry}; the oldest for {_rounded(age)}"
    if age < LONG:
        return ok("queue", words)
    return warning(
        "queue",
        words,
        "if the workers' log names no failing API or used-up budget, start more workers",
    )


def unknown_accounts(found: QueueStatus, known: Collection[str]) -> Iterator[Finding]:
    """Accounts whose changes wait although apitraffic.toml does not define them: no worker takes those."""
    for account in found.accounts:
        own = [queue for queue in found.queues if account_of(queue.name) == account.name]
        waiting = sum(queue.pending for queue in own)
        if waiting and account.name not in known:
            yield of_account(
                account.name,
                failure(
                    "account",
                    f"apitraffic.toml does not define it, and changes wait: {waiting}",
                    f"write [account.{account.name}] with its SID and token, and restart the workers",
                ),
            )


def dead_letters(found: QueueStatus) -> Finding:
    if not found.dead_letters:
        return ok("dead_letters", "none")
    of_accounts = [
        f"for account {account.name}: {account.dead_letters}"
        for account in found.accounts
        if account.dead_letters
    ]
    if found.notices and found.notices.dead_letters:
        of_accounts.append(f"notices to people: {found.notices.dead_letters}")
    return warning(
        "dead_letters",
        ", ".join([f"changes that were given up: {found.dead_letters}", *of_accounts]),
        "`apitraffic-events deadletters list` says why, `deadletters replay` retries them",
    )


def quarantine(found: QueueStatus) -> Finding:
    if not found.quarantined:
        return ok("quarantine", "empty")
    return warning(
        "quarantine",
        f"deliveries that could not be translated: {found.quarantined}",
        "`apitraffic-events quarantine list` says why; run `quarantine replay` after an upgrade",
    )


def _rounded(age: timedelta) -> str:
    minutes, seconds = divmod(int(age.total_seconds()), 60)
    if minutes < 2:  # noqa: PLR2004 - reads as it says
        return f"{minutes * 60 + seconds} s"
    return f"{minutes} min" if minutes < 2 * 60 else f"{minutes // 60} h"
