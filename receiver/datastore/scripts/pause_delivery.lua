-- KEYS: pause
-- ARGV: now, seconds, reason, longest pause
-- Returns 1 if delivery was not paused before, else 0.
-- include functions/run_when_full
local paused_until = redis.call('HGET', KEYS[1], 'until')
redis.call('HSET', KEYS[1], 'until', ARGV[1] + ARGV[2], 'reason', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local was_paused = paused_until and tonumber(paused_until) >= ARGV[1] - ARGV[2]
if not was_paused or redis.call('HEXISTS', KEYS[1], 'since') == 0 then
    redis.call('HSET', KEYS[1], 'since', ARGV[1])
end
return was_paused and 0 or 1
