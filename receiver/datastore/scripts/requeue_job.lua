-- Put a job that no worker runs back at the front of its queue.
-- KEYS: jobs in work, queue, job
-- ARGV: execution, job id, status
-- Returns 1 if the job was in work, else 0.
-- include functions/run_when_full
if redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HSET', KEYS[3], 'status', ARGV[3])
    redis.call('LPUSH', KEYS[2], ARGV[2])
end
-- Last: Redis does not undo a script that fails in the middle.
return redis.call('ZREM', KEYS[1], ARGV[1])
