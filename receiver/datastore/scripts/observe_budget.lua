-- Note what an answer of the API says of the budget. The answer does not count the requests that others have
-- under way, so within a window the lower count holds. An answer from a window that is over is ignored.
-- KEYS: budget
-- ARGV: limit, remaining, reset, lifetime
-- Returns 1 if the answer was noted, else 0.
-- include functions/run_when_full
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
