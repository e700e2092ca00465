-- Delete a job that is done. If it has a marker, that is saved and released first; if this worker has lost the
-- lock of the marker, the job is left as it is.
-- Returns whether the job is done (it may have been acked before), and whether this is the first time.
local function ack(executions, in_work, execution, keys, marker)
    if #marker > 0 and not save(unpack(marker)) then
        return redis.call('EXISTS', keys[1]) == 0, false
    end
    local is_first_time = redis.call('ZREM', in_work, execution) == 1
    redis.call('DEL', unpack(keys))
    redis.call('SREM', executions, execution)
    return true, is_first_time
end

-- Ack several jobs and count them.
-- args, from `at`: lifetime of the number delivered, how many are acked, then for each its registry of jobs in
-- work, its execution, seconds worked, how many keys RQ stores of it, these, the job first, how many arguments
-- of `save` follow, and these
-- Returns for each whether it is done, then the index behind the arguments.
local function ack_all(worker, executions, delivered, args, at)
    local lifetime, number, done = args[at], tonumber(args[at + 1]), {}
    local first, delivery_count, seconds = 0, 0, 0
    at = at + 2
    for index = 1, number do
        local keys_from = at + 4
        local saved_from = keys_from + args[at + 3] + 1
        local behind = saved_from + args[saved_from - 1]
        local is_done, is_first_time = ack(executions, args[at], args[at + 1],
            {unpack(args, keys_from, saved_from - 2)}, {unpack(args, saved_from, behind - 1)})
        done[index] = is_done and 1 or 0
        if is_first_time then
            first, seconds = first + 1, seconds + args[at + 2]
            -- A second look at a marker (receiver/worker/due_markers.py) delivers nothing that anybody has sent.
            delivery_count = delivery_count + (string.find(args[at + 1], 'second-look-', 1, true) == 1 and 0 or 1)
        end
        at = behind
    end
    if first > 0 then
        redis.call('HINCRBY', worker, 'successful_job_count', first)
        redis.call('HINCRBYFLOAT', worker, 'total_working_time', tostring(seconds))
    end
    if delivery_count > 0 then
        redis.call('INCRBY', delivered, delivery_count)
        redis.call('EXPIRE', delivered, lifetime)
    end
    return done, at
end
