-- Give back a permit that was not used, unless its window is over.
-- KEYS: budget
-- ARGV: the end of the window in which it was counted
-- include functions/run_when_full
if redis.call('HGET', KEYS[1], 'reset') == ARGV[1] then
    redis.call('HINCRBY', KEYS[1], 'remaining', 1)
end
