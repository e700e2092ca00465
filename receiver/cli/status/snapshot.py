"""What waits to be delivered, since when, and the workers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import click
from redis import Redis
from rich.text import Text

from apitraffic_events.errors import ConfigurationError
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.exits import NotConfigured, NotReachable
from receiver.cli.local_system import QUEUE, environment_for
from receiver.cli.watching import redraw, repeat
from receiver.config.accounts import NOTIFY
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.delivery.retries import what_to_check
from receiver.errors import StorageUnavailable
from receiver.monitoring.status import (
    AccountState,
    BudgetState,
    Pause,
    QueueState,
    QueueStatus,
    read_status,
)
from receiver.queue.inspection import WaitingJob, WorkerState
from receiver.queue.queues import account_of
from receiver.reception.spool import Spool, spool_of
from receiver.wording import duration

WIDEST_CHANGE: Final = 40
WIDEST_LABEL: Final = len("Dead letters")
WAITED_LONG: Final = timedelta(minutes=5)
"""A change that waits longer is highlighted."""
LATE_SIGN_OF_LIFE: Final = timedelta(seconds=45)
"""An idle worker gives one about every 15 s."""


def show(*, watch: bool, every: float, as_json: bool) -> None:
    out = consoles.output()
    with _opened() as (settings, redis):

        def show() -> None:
            snapshot = Snapshot.take(settings, redis)
            if as_json:
                click.echo(json.dumps(snapshot.as_json()))
            else:
                out.print(snapshot.as_text(), soft_wrap=True)
            snapshot.require_redis()

        if not watch:
            show()
        elif out.is_terminal and not as_json:
            redraw(out, every, lambda: Snapshot.take(settings, redis).as_text())
        else:
            repeat(every, show, consoles.errors())


@contextmanager
def _opened() -> Iterator[tuple[Settings, Redis]]:
    try:
        settings = load_settings(environment_for(QUEUE))
        redis = connect(settings.redis_url)
    except ConfigurationError as error:
        raise NotConfigured(f"The queue is not configured: {error}") from error
    try:
        yield settings, redis
    finally:
        redis.close()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at one moment. A `…_problem` says why Redis or the spool could not be read."""

    taken_at: datetime
    queue: QueueStatus | None
    redis_problem: str | None
    spool: Spool | None
    spooled: int | None
    spool_problem: str | None

    @classmethod
    def take(cls, settings: Settings, redis: Redis) -> "Snapshot":
        queue, redis_problem = None, None
        try:
            queue = read_status(redis)
        except StorageUnavailable as error:
            redis_problem = str(error).removeprefix("Redis: ").rstrip(".")
        spool = spool_of(settings)
        spooled, spool_problem = None, None
        try:
            spooled = spool.count() if spool else None
        except StorageUnavailable as error:
            spool_problem = str(error)
        return cls(now(), queue, redis_problem, spool, spooled, spool_problem)

    def require_redis(self) -> None:
        if self.redis_problem is not None:
            raise NotReachable(
                f"Redis could not be reached: {self.redis_problem}; is REDIS_URL right, and is Redis running?"
            )

    def as_json(self) -> dict[str, Any]:
        """The object that docs/cli.md describes."""
        queue = self.queue
        return {
            "at": format_timestamp(self.taken_at),
            "redis": {"reachable": queue is not None, "problem": self.redis_problem},
            "spool": {
                "path": str(self.spool.path) if self.spool else None,
                "deliveries": self.spooled,
                "problem": self.spool_problem,
            },
            **(_queue_as_json(queue, self.taken_at) if queue else dict.fromkeys(QUEUE_FIELDS)),
        }

    def as_text(self) -> Text:
        lines = [*(_queue_lines(self.queue, self.taken_at) if self.queue else ()), self._spool_line()]
        if self.redis_problem:
            lines.insert(0, _line("Redis", "not reachable, so nothing is known of the queues", "red"))
        return Text("\n").join(lines)

    def _spool_line(self) -> Text:
        if self.spool is None:
            return _line("Spool", "off")
        if self.spooled is None:
            return _line("Spool", self.spool_problem or "", "red")
        return _line("Spool", f"{self.spooled} in {self.spool.path}", "yellow" if self.spooled else "")


QUEUE_FIELDS: Final = (
    *("queues", "oldest_at", "oldest_age_s", "delivered_last_hour", "paused", "budget"),
    *("dead_letters", "quarantined", "workers"),
)


def _queue_as_json(status: QueueStatus, at: datetime) -> dict[str, Any]:
    oldest, pause, budget = status.oldest_at, status.pause, status.budget
    values = (
        [
            {
                "name": queue.name,
                "waiting": queue.waiting,
                "in_work": queue.in_work,
                "to_retry": queue.to_retry,
                "oldest_at": _time(queue.oldest_at),
            }
            for queue in status.queues
        ],
        _time(oldest),
        round(max(0.0, (at - oldest).total_seconds()), 3) if oldest else None,
        status.delivered_last_hour,
        _pause_as_json(pause),
        _budget_as_json(budget),
        status.dead_letters,
        status.quarantined,
        [
            {
                "name": worker.name,
                "state": worker.state,
                "seen_at": _time(worker.seen_at),
                "delivered": worker.delivered,
            }
            for worker in status.workers
        ],
    )
    fields: dict[str, Any] = dict(zip(QUEUE_FIELDS, values, strict=True))
    if status.accounts:
        fields["accounts"] = [
            {
                "name": account.name,
                "paused": _pause_as_json(account.pause),
                "budget": _budget_as_json(account.budget),
                "dead_letters": account.dead_letters,
            }
            for account in status.accounts
        ]
    return fields


def _pause_as_json(pause: Pause | None) -> dict[str, str | None] | None:
    return {"until": _time(pause.until), "reason": pause.reason} if pause else None


def _budget_as_json(budget: BudgetState | None) -> dict[str, Any] | None:
    if budget is None:
        return None
    return {
        "limit": budget.limit,
        "remaining": budget.remaining,
        "reset_at": _time(budget.reset_at),
        "blocked_until": _time(budget.blocked_until),
    }


def _queue_lines(status: QueueStatus, at: datetime) -> Iterator[Text]:
    of_markers = [queue for queue in status.queues if account_of(queue.name) != NOTIFY]
    for number, queue in enumerate(of_markers):
        yield _line("" if number else "Queues", f"{queue.name:<10}  {_counts([queue])}")
    for number, job in enumerate(status.next):
        yield _line("" if number else "Next", _next_words(job, at))
    oldest = status.oldest_at
    waits = at - oldest if oldest else timedelta()
    yield _line("Oldest", f"accepted {duration(waits)} ago" if oldest else "-", _if(waits > WAITED_LONG))
    rate = status.delivered_last_hour
    yield _line("Delivered", f"{rate:,} in the last hour, {rate / 60:.1f} a minute")
    if status.pause:
        yield _line("Paused", f"until {_when(status.pause.until, at)}: {status.pause.reason}", "red")
        yield _line("", f"→ {what_to_check(None)}")
    yield _line("Budget", *_budget_words(status.budget, at))
    yield _line("Dead letters", f"{status.dead_letters:,}", _if(status.dead_letters > 0))
    for account in status.accounts:
        yield from _account_lines(account, at)
    if status.notices:
        yield from _notice_lines(status, status.notices, at)
    yield _line("Quarantine", f"{status.quarantined:,}", _if(status.quarantined > 0))
    if not status.workers:
        yield _line("Workers", "none; start one: apitraffic-events worker", "red")
    for number, worker in enumerate(status.workers):
        yield _line("" if number else "Workers", *_worker_words(worker, at))


def _counts(queues: Sequence[QueueState]) -> str:
    waiting, in_work, to_retry = (
        sum(getattr(queue, state) for queue in queues) for state in ("waiting", "in_work", "to_retry")
    )
    return f"{waiting} waiting, {in_work} in work, {to_retry} to retry"


def _notice_lines(status: QueueStatus, notices: AccountState, at: datetime) -> Iterator[Text]:
    """Notices to people, which have queues as an account has."""
    yield _line("Notices", _counts([queue for queue in status.queues if account_of(queue.name) == NOTIFY]))
    if notices.budget and notices.budget.blocked_until:
        yield _line("", f"not posted until {_when(notices.budget.blocked_until, at)}", "yellow")
    if notices.dead_letters:
        yield _line("", f"dead letters: {notices.dead_letters:,}", "yellow")


def _account_lines(account: AccountState, at: datetime) -> Iterator[Text]:
    """Its name, then what it has for itself; its queues are among the others."""
    words, style = _budget_words(account.budget, at)
    yield _line("Account", f"{account.name:<10}  {words}", style)
    if account.pause:
        yield _line("", f"paused until {_when(account.pause.until, at)}: {account.pause.reason}", "red")
        yield _line("", f"→ {what_to_check(account.name)}")
    if account.dead_letters:
        yield _line("", f"dead letters: {account.dead_letters:,}", "yellow")


def _next_words(job: WaitingJob, at: datetime) -> str:
    """Which change, and since when it waits or when it is tried again."""
    if job.again_at is not None and job.again_at > at:
        when = f"again in {duration(job.again_at - at)}"
    else:
        when = f"{duration(at - job.accepted_at)} ago" if job.accepted_at else ""
    return f"{one_line(job.description, WIDEST_CHANGE):<{WIDEST_CHANGE}}  {when}".rstrip()


def _budget_words(budget: BudgetState | None, at: datetime) -> tuple[str, str]:
    if budget is None:
        return "not known before the first response of the API", ""
    if budget.blocked_until:
        return f"used up until {_when(budget.blocked_until, at)}", "red"
    if budget.limit is None or budget.remaining is None or budget.reset_at is None:
        return "not known", ""
    if budget.reset_at <= at:
        return f"all {budget.limit:,} requests left again", ""
    left = f"{budget.remaining:,} of {budget.limit:,} requests left"
    return f"{left} until {_when(budget.reset_at, at)}", _if(budget.remaining * 10 <= budget.limit)


def _worker_words(worker: WorkerState, at: datetime) -> tuple[str, str]:
    silent = at - worker.seen_at if worker.seen_at else timedelta.max
    seen = f"seen {duration(silent)} ago" if worker.seen_at else "not seen"
    return f"{worker.name}  {worker.state}, {seen}, {worker.delivered:,} done", _if(
        silent > LATE_SIGN_OF_LIFE
    )


def _line(label: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{label:<{WIDEST_LABEL}}  ", "bold"), (value, style))


def _if(is_notable: bool) -> str:
    return "yellow" if is_notable else ""


def _when(moment: datetime, at: datetime) -> str:
    return f"{format_timestamp(moment)}, in {duration(moment - at)}"


def _time(moment: datetime | None) -> str | None:
    return format_timestamp(moment) if moment else None
