-- Delete a job that is done and count it. With the arguments of `save`, its marker is saved and released
-- first; if this worker has lost the lock of the marker, the job is left as it is.
-- keys: jobs in work, worker, its executions, number delivered in this minute, then everything that RQ stores
-- of the job, the job itself third
-- args: execution, seconds worked, lifetime of the number delivered, then the arguments of `save`, if any
-- Returns whether the job is done; it may have been acked before.
-- include functions/save
local function ack(keys, args)
    redis.call('HSET', keys[2], 'state', WORKER_IDLE)
    if #args > 3 and not save(unpack(args, 4)) then
        return redis.call('EXISTS', keys[7]) == 0
    end
    local is_first_time = redis.call('ZREM', keys[1], args[1]) == 1
    redis.call('DEL', unpack(keys, 5))
    redis.call('SREM', keys[3], args[1])
    if is_first_time then
        redis.call('HINCRBY', keys[2], 'successful_job_count', 1)
        redis.call('HINCRBYFLOAT', keys[2], 'total_working_time', args[2])
        redis.call('INCRBY', keys[4], 1)
        redis.call('EXPIRE', keys[4], args[3])
    end
    return true
end
