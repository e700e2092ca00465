"""The request budget and the state of the line, shared by all workers through Redis.

A job comes with a permit for its first request (`receiver.worker.job_queue`). The worker asks for another
before each further one, and each answer says what is left. A tenth of the budget is kept for what is urgent:
incidents, and whatever ends something. A refused token stops the line for all workers.

Redis keys: `apitraffic:budget`, until a day after its window; `apitraffic:line`, while delivery is paused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

from redis import Redis
from redis.exceptions import RedisError
from rq.utils import as_text

from apitraffic_events.errors import RateLimit, RateLimited
from apitraffic_events.timestamps import now

BUDGET: Final = "apitraffic:budget"
PAUSE: Final = "apitraffic:line"
RESERVED_SHARE: Final = 10
"""One part in so many is kept for what is urgent."""
MARGIN: Final = 0.3
"""Seconds after a window's end before it counts as over: our clock and the API's are not the same."""
PROVISIONAL_WINDOW: Final = 10.0
"""Seconds for which a new window is assumed to hold the old limit until an answer says more."""
LIFETIME: Final = 86_400
LONGEST_PAUSE: Final = 3_600

PERMIT: Final = f"""
-- Seconds to wait as text, '0' where one request is permitted and counted; then, where the API has named a
-- limit, the end of the window it was counted in and, if an answer has said them of this window, the limit
-- and what is left of it.
local function permit(budget, moment, is_urgent)
    local limit, remaining, reset, blocked, provisional =
        unpack(redis.call('HMGET', budget, 'limit', 'remaining', 'reset', 'blocked', 'provisional'))
    if blocked and moment < tonumber(blocked) then
        return {{tostring(blocked - moment)}}
    end
    if not limit then
        return {{'0'}}
    end
    if moment >= reset + {MARGIN} then
        local provisional_reset = tostring(moment + {PROVISIONAL_WINDOW})
        redis.call('HSET', budget, 'remaining', limit - 1, 'reset', provisional_reset, 'provisional', '1')
        redis.call('EXPIRE', budget, {LIFETIME})
        return {{'0', provisional_reset}}
    end
    local kept = 0
    if not is_urgent then
        kept = math.ceil(limit / {RESERVED_SHARE})
    end
    if tonumber(remaining) <= kept then
        return {{tostring(reset + {MARGIN} - moment)}}
    end
    redis.call('HINCRBY', budget, 'remaining', -1)
    if provisional == '1' then
        return {{'0', reset}}
    end
    return {{'0', reset, limit, tostring(remaining - 1)}}
end
"""

PERMIT_SCRIPT: Final = f"""
-- KEYS: budget. ARGV: now, whether urgent
{PERMIT}
return permit(KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1')
"""

RETURN_SCRIPT: Final = """
-- KEYS: budget. ARGV: end of the window
if redis.call('HGET', KEYS[1], 'reset') == ARGV[1] then
    redis.call('HINCRBY', KEYS[1], 'remaining', 1)
end
"""

OBSERVE_SCRIPT: Final = """
-- KEYS: budget. ARGV: limit, remaining, reset, lifetime
local known, left, provisional = unpack(redis.call('HMGET', KEYS[1], 'reset', 'remaining', 'provisional'))
local reset, remaining = tonumber(ARGV[3]), tonumber(ARGV[2])
if known and provisional ~= '1' and reset < tonumber(known) - 1 then
    return 0
end
if known and (provisional == '1' or math.abs(reset - tonumber(known)) <= 1) then
    remaining = math.min(remaining, tonumber(left))
end
redis.call('HSET', KEYS[1], 'limit', ARGV[1], 'remaining', remaining, 'reset', ARGV[3], 'provisional', '0')
redis.call('EXPIREAT', KEYS[1], math.ceil(reset) + ARGV[4])
return 1
"""
"""An answer knows nothing of the requests that others have under way, so within a window the lower count
holds; an answer from a window that is over says nothing any more."""


PAUSE_SCRIPT: Final = """
-- KEYS: line. ARGV: now, seconds, reason, longest pause
local paused_until = redis.call('HGET', KEYS[1], 'until')
redis.call('HSET', KEYS[1], 'until', ARGV[1] + ARGV[2], 'reason', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if paused_until and tonumber(paused_until) >= ARGV[1] - ARGV[2] then
    return 0
end
return 1
"""


class BudgetExhausted(RateLimited):
    """Not sent: the budget is used up, or what is left of it is kept for what is urgent."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The budget in Redis after our request was counted, in a window that an answer has confirmed."""

    limit: float
    remaining: float
    reset: float

    def covers(self, announced: RateLimit) -> bool:
        """Whether the API says nothing new: nobody but those who count here used any of it."""
        is_same_window = abs(announced.reset_at.timestamp() - self.reset) <= 1
        return is_same_window and announced.limit == self.limit and announced.remaining >= self.remaining


@dataclass(frozen=True, slots=True)
class Permit:
    """For one request, counted already.

    `window` is the end of the one it was counted in, as text, `counted` what an answer had said of it; `None`
    where the API has said nothing.
    """

    window: str | None = None
    counted: Counted | None = None

    @classmethod
    def read(cls, answer: Sequence[bytes | str]) -> Self:
        """From what `PERMIT` returns; raises `BudgetExhausted` where there is to be no request now."""
        wait, *budget = map(as_text, answer)
        if float(wait) > 0:
            raise BudgetExhausted(f"the budget is used up for {float(wait):.0f} s", retry_after=float(wait))
        if not budget:
            return cls()
        if len(budget) == 1:
            return cls(budget[0])
        window, limit, remaining = budget
        return cls(window, Counted(float(limit), float(remaining), float(window)))


class RequestBudget:
    """Permits for requests, and the pause of the whole line."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = lambda: now().timestamp()) -> None:
        self._redis = redis
        self._clock = clock
        self._is_urgent = True
        self._in_hand: Permit | None = None
        self._counted: Counted | None = None
        self._ask = redis.register_script(PERMIT_SCRIPT)
        self._observe = redis.register_script(OBSERVE_SCRIPT)
        self._pause = redis.register_script(PAUSE_SCRIPT)

    def use_prefetched(self, permit: Permit) -> None:
        """What is delivered next came with a permit for its first request."""
        self._in_hand = permit

    @contextmanager
    def delivering(self, *, is_urgent: bool) -> Iterator[None]:
        """Requests made inside are for something that may, or may not, use what is kept.

        A permit that it came with and did not need is given back.
        """
        before, self._is_urgent = self._is_urgent, is_urgent
        try:
            yield
        finally:
            self._is_urgent = before
            unused, self._in_hand = self._in_hand, None
            if unused is not None and unused.window is not None:
                # One that is lost is lost until its window ends, and nothing else.
                with suppress(RedisError):
                    self._redis.eval(RETURN_SCRIPT, 1, BUDGET, unused.window)

    def before_request(self) -> None:
        """Count one request; raises `BudgetExhausted` where there is to be none now."""
        permit, self._in_hand = self._in_hand, None
        if permit is None:
            permit = Permit.read(self._ask(keys=[BUDGET], args=[self._clock(), int(self._is_urgent)]))
        self._counted = permit.counted

    def after_answer(self, rate_limit: RateLimit | None) -> None:
        """Note what an answer says of the budget, where it says more than has been counted."""
        if rate_limit is not None and not (self._counted and self._counted.covers(rate_limit)):
            reset = rate_limit.reset_at.timestamp()
            arguments: list[float] = [rate_limit.limit, rate_limit.remaining, reset, LIFETIME]
            self._observe(keys=[BUDGET], args=arguments)

    def use_up(self, seconds: float) -> None:
        """The API refused a request for want of budget: none for so many seconds, whatever was counted."""
        with self._redis.pipeline() as pipeline:
            pipeline.hset(BUDGET, "blocked", str(self._clock() + seconds))
            pipeline.expire(BUDGET, LIFETIME)
            pipeline.execute()

    def pause(self, reason: str, seconds: float) -> bool:
        """Stop the line for so long; whether it was running until now, and did not merely look if it may."""
        arguments: list[str | float] = [self._clock(), seconds, reason, LONGEST_PAUSE]
        return bool(self._pause(keys=[PAUSE], args=arguments))

    def resume(self) -> bool:
        """A request succeeded: let the line run; whether it was paused until now."""
        return bool(self._redis.delete(PAUSE))
