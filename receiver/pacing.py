"""The request budget and the state of the line, shared by all workers through Redis.

Before each request a worker asks for a permit; each answer says what is left. A tenth of the budget is kept
for what is urgent: incidents, and whatever ends something. A refused token stops the line for all.

Redis keys: `apitraffic:budget`, until a day after its window; `apitraffic:line`, while delivery is paused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis

from receiver.api_errors import RateLimit, RateLimited
from receiver.timestamps import now

BUDGET: Final = "apitraffic:budget"
LINE: Final = "apitraffic:line"
RESERVED_SHARE: Final = 10
"""One part in so many is kept for what is urgent."""
MARGIN: Final = 0.3
"""Seconds after a window's end before it counts as over: our clock and the API's are not the same."""
PROVISIONAL_WINDOW: Final = 10.0
"""Seconds for which a new window is assumed to hold the old limit until an answer says more."""
LIFETIME: Final = 86_400
LONGEST_PAUSE: Final = 3_600

PERMIT_SCRIPT: Final = """
-- KEYS: budget. ARGV: now, margin, whether urgent, reserved share, provisional window, lifetime
-- Seconds to wait as text, '0' where one request is permitted and counted; then, if an answer has said them
-- of this window, the limit, what is left of it, and its end.
local limit, remaining, reset, blocked, provisional =
    unpack(redis.call('HMGET', KEYS[1], 'limit', 'remaining', 'reset', 'blocked', 'provisional'))
local moment = tonumber(ARGV[1])
if blocked and moment < tonumber(blocked) then
    return {tostring(blocked - moment)}
end
if not limit then
    return {'0'}
end
local announced_limit, announced_reset = limit, reset
limit, remaining, reset = tonumber(limit), tonumber(remaining), tonumber(reset)
if moment >= reset + tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], 'remaining', limit - 1, 'reset', moment + ARGV[5], 'provisional', '1')
    redis.call('EXPIRE', KEYS[1], ARGV[6])
    return {'0'}
end
local kept = 0
if ARGV[3] == '0' then
    kept = math.ceil(limit / ARGV[4])
end
if remaining <= kept then
    return {tostring(reset + ARGV[2] - moment)}
end
redis.call('HINCRBY', KEYS[1], 'remaining', -1)
if provisional == '1' then
    return {'0'}
end
return {'0', announced_limit, tostring(remaining - 1), announced_reset}
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


class Paced(RateLimited):
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


class Pacing:
    """Permits for requests, and the pause of the whole line."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = lambda: now().timestamp()) -> None:
        self._redis = redis
        self._clock = clock
        self._is_urgent = True
        self._counted: Counted | None = None
        self._permit = redis.register_script(PERMIT_SCRIPT)
        self._observe = redis.register_script(OBSERVE_SCRIPT)
        self._pause = redis.register_script(PAUSE_SCRIPT)

    @contextmanager
    def delivering(self, *, is_urgent: bool) -> Iterator[None]:
        """Requests made inside are for something that may, or may not, use what is kept."""
        before, self._is_urgent = self._is_urgent, is_urgent
        try:
            yield
        finally:
            self._is_urgent = before

    def before_request(self) -> None:
        """Count one request; raises `Paced` where there is to be none now."""
        arguments = [
            self._clock(),
            MARGIN,
            int(self._is_urgent),
            RESERVED_SHARE,
            PROVISIONAL_WINDOW,
            LIFETIME,
        ]
        wait, *budget = map(float, self._permit(keys=[BUDGET], args=arguments))
        self._counted = Counted(*budget) if budget else None
        if wait > 0:
            raise Paced(f"the budget is used up for {wait:.0f} s", retry_after=wait)

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
        return bool(self._pause(keys=[LINE], args=arguments))

    def resume(self) -> bool:
        """A request succeeded: let the line run; whether it was paused until now."""
        return bool(self._redis.delete(LINE))
