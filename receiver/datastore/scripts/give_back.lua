-- Put jobs that this worker has dequeued and not begun back where they were: at the front of their queues, in
-- their order, with their markers free and their permits returned.
-- KEYS: worker, its executions, budget, bell, the queues
-- ARGV: status, '1' if the worker is idle then; then for each job its queue, its registry of jobs in work, its
-- execution, its key, its id, the key of the execution, that of the job's executions, the key of the marker's
-- lock and its token, or '' and '', and the end of the window of its permit, or ''; the last job first
-- Returns how many were put back.
-- include functions/run_when_full
-- include functions/ring
local number = 0
for at = 3, #ARGV, 10 do
    local queue, in_work, execution, job, id, execution_key, executions, lock, token, window =
        unpack(ARGV, at, at + 9)
    if lock ~= '' and redis.call('GET', lock) == token then
        redis.call('DEL', lock)
    end
    if window ~= '' and redis.call('HGET', KEYS[3], 'reset') == window then
        redis.call('HINCRBY', KEYS[3], 'remaining', 1)
    end
    if redis.call('ZSCORE', in_work, execution) and redis.call('EXISTS', job) == 1 then
        redis.call('HSET', job, 'status', ARGV[1])
        redis.call('LPUSH', queue, id)
        number = number + 1
    end
    -- Afterwards: Redis does not undo a script that fails in the middle.
    redis.call('ZREM', in_work, execution)
    redis.call('DEL', execution_key, executions)
    redis.call('SREM', KEYS[2], execution)
end
if ARGV[2] == '1' then
    redis.call('HSET', KEYS[1], 'state', WORKER_IDLE)
end
ring_if_queued(KEYS[4], {unpack(KEYS, 5)})
return number
