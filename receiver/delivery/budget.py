"""The request budget and the pause of all deliveries, shared by all workers through Redis.

A job is dequeued with a permit for its first request (`receiver.worker.job_queue`). The worker asks for
another one before each further request, and each answer of the API says what remains. A tenth of the budget
is reserved for urgent changes: incidents, and whatever ends something. If the API refuses the token, all
workers pause.

Redis keys: `apitraffic:budget`, until a day after its window; `apitraffic:line`, while delivery is paused.
Each further account has both of its own (`receiver.datastore.keys`), so that it neither waits for another one
nor uses that one's budget.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Self

from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events.errors import RateLimit, RateLimited
from apitraffic_events.timestamps import now, parse_timestamp
from receiver.datastore.keys import AccountKeys, keys_of
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Constant, Script

BUDGET: Final = AccountKeys().budget
PAUSE: Final = AccountKeys().pause
RESERVED_SHARE: Final = 10
"""One part in this many is reserved for urgent changes."""
MARGIN: Final = 0.3
"""Seconds after a window's end before it counts as over: our clock and the API's may differ."""
PROVISIONAL_WINDOW: Final = 10.0
"""Seconds for which a new window is assumed to have the old limit, until an answer says more."""
LIFETIME: Final = 86_400
LONGEST_PAUSE: Final = 3_600

PERMIT_CONSTANTS: Final[Mapping[str, Constant]] = MappingProxyType(
    {
        "BUDGET_LIFETIME": LIFETIME,
        "PROVISIONAL_WINDOW": PROVISIONAL_WINDOW,
        "RESERVED_SHARE": RESERVED_SHARE,
        "WINDOW_MARGIN": MARGIN,
    }
)
"""What scripts need that include `permit.lua`."""

REQUEST_PERMIT: Final = Script("request_permit", PERMIT_CONSTANTS)
RETURN_PERMIT: Final = Script("return_permit")
OBSERVE_BUDGET: Final = Script("observe_budget")
PAUSE_DELIVERY: Final = Script("pause_delivery")


class BudgetExhausted(RateLimited):
    """The request was not sent: no budget is left, or what is left is reserved for urgent changes."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The budget in Redis after our request was counted, in a window that an answer has confirmed."""

    limit: float
    remaining: float
    reset: float

    def covers(self, announced: RateLimit) -> bool:
        """Whether the API's answer adds nothing: all requests in this window were counted here."""
        is_same_window = abs(announced.reset_at.timestamp() - self.reset) <= 1
        return is_same_window and announced.limit == self.limit and announced.remaining >= self.remaining


@dataclass(frozen=True, slots=True)
class Permit:
    """One request, already counted.

    `window` is the end of the window in which it was counted, as text, and `counted` what an answer has said
    of that window; both are `None` if the API has said nothing.
    """

    window: str | None = None
    counted: Counted | None = None

    @classmethod
    def read(cls, reply: Sequence[bytes | str]) -> Self:
        """From the reply of `permit.lua`; raises `BudgetExhausted` if no request may be made now."""
        wait, *budget = map(as_text, reply)
        if float(wait) > 0:
            raise BudgetExhausted(f"the budget is used up for {float(wait):.0f} s", retry_after=float(wait))
        if not budget:
            return cls()
        if len(budget) == 1:
            return cls(budget[0])
        window, limit, remaining = budget
        return cls(window, Counted(float(limit), float(remaining), float(window)))


class SharedBudget:
    """What the threads of a process know together: the lowest that was counted, and who has paused.

    Several requests may be under way at once, and their answers arrive in any order: what one announces adds
    nothing to what is in Redis if another has been counted below that.
    """

    def __init__(self) -> None:
        self._lowest: Counted | None = None
        self.has_paused = False

    def add(self, counted: Counted | None) -> None:
        lowest = self._lowest
        if counted is None:
            return
        if lowest is None or counted.reset > lowest.reset or counted.remaining < lowest.remaining:
            self._lowest = counted

    def forget(self) -> None:
        """Permits are returned, so Redis has more than was counted."""
        self._lowest = None

    def covers(self, announced: RateLimit) -> bool:
        lowest = self._lowest
        return lowest is not None and lowest.covers(announced)


class RequestBudget:
    """Permits for requests to one account, and the pause of all deliveries to it.

    Each thread of a worker has one of its own, and they have `shared` in common.
    """

    def __init__(
        self,
        redis: Redis,
        clock: Callable[[], float] = lambda: now().timestamp(),
        shared: SharedBudget | None = None,
        account: str | None = None,
    ) -> None:
        self._redis = redis
        self.account = account
        self._keys = keys_of(account)
        self._clock = clock
        self._is_urgent = True
        self._prefetched: Permit | None = None
        self._shared = SharedBudget() if shared is None else shared

    def for_another_thread(self) -> "RequestBudget":
        return RequestBudget(self._redis, self._clock, self._shared, self.account)

    def forget_counted(self) -> None:
        """Permits were returned: what the next answer announces may be less than what is in Redis."""
        self._shared.forget()

    def use_prefetched(self, permit: Permit) -> None:
        """Use this permit for the next request."""
        self._prefetched = permit

    @contextmanager
    def delivering(self, *, is_urgent: bool) -> Iterator[None]:
        """Make requests for a change; only an urgent one may use the reserve.

        A prefetched permit that was not used is given back.
        """
        before, self._is_urgent = self._is_urgent, is_urgent
        try:
            yield
        finally:
            self._is_urgent = before
            unused, self._prefetched = self._prefetched, None
            if unused is not None and unused.window is not None:
                self.forget_counted()
                # A permit that cannot be given back is lost until its window ends, which does no other harm.
                with suppress(RedisError):
                    RETURN_PERMIT.run(self._redis, [self._keys.budget], [unused.window])

    def before_request(self) -> None:
        """Count one request; raises `BudgetExhausted` if none may be made now."""
        permit, self._prefetched = self._prefetched, None
        if permit is None:
            arguments = [self._clock(), int(self._is_urgent)]
            permit = Permit.read(REQUEST_PERMIT.run(self._redis, [self._keys.budget], arguments))
        self._shared.add(permit.counted)

    def after_answer(self, rate_limit: RateLimit | None) -> None:
        """Note the budget that an answer announces, if it differs from what has been counted here."""
        if rate_limit is not None and not self._shared.covers(rate_limit):
            reset = rate_limit.reset_at.timestamp()
            arguments: list[float] = [rate_limit.limit, rate_limit.remaining, reset, LIFETIME]
            OBSERVE_BUDGET.run(self._redis, [self._keys.budget], arguments)

    def seconds_until_share(self, parts: int) -> float:
        """Until more than one part in so many of the budget is left; 0 if there is, or if no limit is known.

        Raises `RedisError`.
        """
        fields = self._redis.hmget(self._keys.budget, "limit", "remaining", "reset")
        limit, remaining, reset = (float(field) if field else None for field in fields)
        if limit is None or remaining is None or reset is None or remaining * parts > limit:
            return 0.0
        return max(0.0, reset + MARGIN - self._clock())

    def use_up(self, seconds: float) -> None:
        """The API refused a request because the budget is exhausted: make none for this long."""
        with self._redis.pipeline() as pipeline:
            pipeline.hset(self._keys.budget, "blocked", str(self._clock() + seconds))
            pipeline.expire(self._keys.budget, LIFETIME)
            pipeline.execute()

    def pause(self, reason: str, seconds: float) -> bool:
        """Pause all workers for this long. Returns whether they were delivering until now.

        A worker that checks after a pause whether it may go on, and may not, does not count as delivering.
        """
        self._shared.has_paused = True
        arguments: list[str | float] = [self._clock(), seconds, reason, LONGEST_PAUSE]
        return bool(PAUSE_DELIVERY.run(self._redis, [self._keys.pause], arguments))

    @property
    def has_paused(self) -> bool:
        """Whether it was this process that paused, as far as it knows of no end of that pause."""
        return self._shared.has_paused

    def paused_since(self) -> datetime | None:
        """When the API began to refuse us, while it has not accepted us since; raises `RedisError`."""
        since = self._redis.hget(self._keys.pause, "since")
        return None if since is None else parse_timestamp(float(since))

    def take_over_pause(self) -> None:
        """Take a pause for this process' own: the one that paused may have been restarted as this one."""
        self._shared.has_paused = self.paused_since() is not None

    def resume(self) -> bool:
        """A request succeeded: end the pause. Returns whether there was one."""
        self._shared.has_paused = False
        return bool(self._redis.delete(self._keys.pause))

    def resume_own(self) -> bool:
        """As `resume`, if it was this process that paused."""
        return self._shared.has_paused and self.resume()
