-- A marker was looked at again. Whoever asked for another look meanwhile gets it.
-- KEYS: second looks
-- ARGV: the marker's key, the time for which it was planned as this look began ('' for none), the time of the
-- next one ('' for none)
-- include functions/run_when_full
local planned = redis.call('ZSCORE', KEYS[1], ARGV[1])
if planned and tonumber(planned) ~= tonumber(ARGV[2]) then
    return
end
if ARGV[3] == '' then
    redis.call('ZREM', KEYS[1], ARGV[1])
else
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
