-- Queue the jobs whose next attempt is due.
-- KEYS: scheduled jobs, queue
-- ARGV: now, most at once, prefix of job keys, status
-- Returns how many were due.
-- include functions/run_when_full
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
    if redis.call('EXISTS', ARGV[3] .. id) == 1 then
        redis.call('HSET', ARGV[3] .. id, 'status', ARGV[4])
        redis.call('RPUSH', KEYS[2], id)
    end
    -- Last: Redis does not undo a script that fails in the middle.
    redis.call('ZREM', KEYS[1], id)
end
return #due
