"""What an operator asks first: is anything waiting, since when, and is a worker running?

This only reads, and only from Redis: the Events API is not asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redis import Redis

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now, parse_timestamp
from receiver.config.accounts import NOTIFY
from receiver.datastore.failures import redis_required
from receiver.datastore.keys import keys_of
from receiver.datastore.replies import as_text
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.inspection import (
    WaitingJob,
    WorkerState,
    accepted_at,
    count_jobs,
    job_ids,
    living_workers,
    next_jobs,
)
from receiver.queue.queues import delivery_queues, known_accounts
from receiver.queue.throughput import delivered_in_last_hour
from receiver.reception.quarantine import Quarantine
from receiver.routing import DEFAULT_ACCOUNT

MOST_LOOKED_AT: Final = 1_000
"""Jobs of each queue, in each state, among which the oldest is searched for."""
LONGEST_REASON: Final = 300
MOST_NEXT: Final = 5


@dataclass(frozen=True, slots=True)
class QueueState:
    """Changes in one queue: waiting for a worker, in work, and waiting for a retry.

    `oldest_at` is when the oldest of them was accepted.
    """

    name: str
    waiting: int
    in_work: int
    to_retry: int
    oldest_at: datetime | None

    @property
    def pending(self) -> int:
        """Changes that have not been delivered or given up."""
        return self.waiting + self.in_work + self.to_retry


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Requests that the API still allows until `reset_at`; none before `blocked_until`."""

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    blocked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no worker delivers, and when one will check whether it may go on."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an account in apitraffic.toml has for itself, beside its queues."""

    name: str
    pause: Pause | None
    budget: BudgetState | None
    dead_letters: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Everything that Redis knows. `queues` and `dead_letters` are of all accounts together; `pause` and
    `budget` are of the one of APITRAFFIC_ACCOUNT_SID.
    """

    queues: tuple[QueueState, ...]
    pause: Pause | None
    delivered_last_hour: int
    budget: BudgetState | None
    dead_letters: int
    quarantined: int
    workers: tuple[WorkerState, ...]
    next: tuple[WaitingJob, ...] = ()
    """What a worker takes next, at most `MOST_NEXT`."""
    accounts: tuple[AccountState, ...] = ()
    """Those in apitraffic.toml that have queues in this Redis."""
    notices: AccountState | None = None
    """The same of notices to people, which are no account; `None` if this Redis has no queues for them."""

    @property
    def oldest_at(self) -> datetime | None:
        return min((queue.oldest_at for queue in self.queues if queue.oldest_at), default=None)


def read_status(redis: Redis) -> QueueStatus:
    """Raises `StorageUnavailable` if Redis cannot be used."""
    with redis_required():
        names = known_accounts(redis)
        return QueueStatus(
            queues=_queues(redis),
            pause=_pause(redis),
            delivered_last_hour=delivered_in_last_hour(redis),
            budget=_budget(redis),
            dead_letters=DeadLetters.of_all_accounts(redis).count(),
            quarantined=Quarantine(redis).count(),
            workers=tuple(living_workers(redis)),
            next=tuple(next_jobs(redis, MOST_NEXT)),
            accounts=tuple(_account(redis, name) for name in names if name != NOTIFY),
            notices=_account(redis, NOTIFY) if NOTIFY in names else None,
        )


def read_accounts(redis: Redis, configured: Iterable[str] = ()) -> tuple[AccountState, ...]:
    """The account of APITRAFFIC_ACCOUNT_SID, as `DEFAULT_ACCOUNT`, and the others; empty if there are none.

    Raises `StorageUnavailable` if Redis cannot be used.
    """
    with redis_required():
        names = sorted({*known_accounts(redis), *configured} - {NOTIFY})
        states = [_account(redis, name) for name in names]
        return (_account(redis, None), *states) if states else ()


def _queues(redis: Redis) -> tuple[QueueState, ...]:
    ids = job_ids(redis, MOST_LOOKED_AT)
    accepted = accepted_at(redis, [job_id for some in ids.values() for job_id in some])
    return tuple(
        QueueState(
            name=counts.name,
            waiting=counts.waiting,
            in_work=counts.on_the_way + counts.in_work,
            to_retry=counts.to_retry,
            oldest_at=min(
                (accepted[job_id] for job_id in ids[counts.name] if job_id in accepted), default=None
            ),
        )
        for counts in count_jobs(redis)
    )


def _account(redis: Redis, name: str | None) -> AccountState:
    return AccountState(
        name=name or DEFAULT_ACCOUNT,
        pause=_pause(redis, name),
        budget=_budget(redis, name),
        dead_letters=DeadLetters(delivery_queues(redis, name)).count(),
    )


def _pause(redis: Redis, account: str | None = None) -> Pause | None:
    until, reason = redis.hmget(keys_of(account).pause, ["until", "reason"])
    moment = _moment(until)
    if moment is None or moment <= now():
        return None
    return Pause(moment, one_line(as_text(reason), LONGEST_REASON))


def _budget(redis: Redis, account: str | None = None) -> BudgetState | None:
    """As of the last answer; `None` if there has been none for a day."""
    fields = ["limit", "remaining", "reset", "blocked"]
    limit, remaining, reset, blocked = redis.hmget(keys_of(account).budget, fields)
    blocked_until = _moment(blocked)
    if limit is None and blocked_until is None:
        return None
    return BudgetState(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset_at=_moment(reset),
        blocked_until=blocked_until if blocked_until and blocked_until > now() else None,
    )


def _moment(seconds: Any) -> datetime | None:
    """Redis holds times as seconds since 1970, in text."""
    return None if seconds is None else parse_timestamp(float(seconds))
