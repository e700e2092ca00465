-- Move a job from the dead letters to its queue, as if it had just been queued. A marker that is no longer
-- stored is in doubt afterwards: dead letters outlive markers, so the API is asked for its event before one
-- is created.
-- KEYS: dead letters, job, its results, queue, set of queues, then what may be stored of the marker under
-- each of its names; the first is where it is stored if nothing is
-- ARGV: job id, status, time, retries, lifetime of a marker; then, if the job has a trace, the meta that says
-- so
-- Returns 1 if the job was moved, 0 if it was not a dead letter any more.
-- include functions/run_when_full
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return 0
end
if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('ZREM', KEYS[1], ARGV[1])
    return 0
end
redis.call('PERSIST', KEYS[2])
redis.call('HDEL', KEYS[2], 'meta', 'number_of_retries', 'started_at', 'ended_at', 'exc_info')
redis.call('HSET', KEYS[2], 'status', ARGV[2], 'enqueued_at', ARGV[3], 'retries_left', ARGV[4])
if ARGV[6] then
    redis.call('HSET', KEYS[2], 'meta', ARGV[6])
end
redis.call('DEL', KEYS[3])
if KEYS[6] and redis.call('EXISTS', unpack(KEYS, 6)) == 0 then
    redis.call('HSET', KEYS[6], 'in_doubt', '1')
    redis.call('EXPIRE', KEYS[6], ARGV[5])
end
redis.call('SADD', KEYS[5], KEYS[4])
redis.call('RPUSH', KEYS[4], ARGV[1])
-- Last: Redis does not undo a script that fails in the middle.
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
