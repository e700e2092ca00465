-- Ack the job before, if there is one, and take the next one: urgent before routine, none whose marker another
-- worker has locked, and none while delivery is paused or the budget is exhausted. What is written of a job is what RQ writes, see
-- receiver/worker/job_queue.py.
-- KEYS: pause, budget, worker, its executions, the urgent queue, its jobs in work, the routine queue, its
-- jobs in work; then the keys of `ack`, if any
-- ARGV: now, now as text, lifetime of an execution, name of the worker, id of the execution; how the keys begin
-- of jobs, of executions and of a job's executions; token for the lock of the marker; then the arguments of
-- `ack`, if any
-- Returns {whether the job before is done, the next job}, nil for none. A job is {key of its queue, its id,
-- its fields, its permit, its marker as `lock` returns it, or nil}.
-- include functions/run_when_full
-- include functions/permit
-- include functions/resolve
-- include functions/lock
-- include functions/ack
local moment, lifetime = tonumber(ARGV[1]), tonumber(ARGV[3])
local job_prefix, execution_prefix, executions_prefix = ARGV[6], ARGV[7], ARGV[8]

local function start(id, job, in_work)
    local both = id .. ':' .. ARGV[5]
    local execution, executions = execution_prefix .. both, executions_prefix .. id
    redis.call('HSET', execution, 'id', ARGV[5], 'job_id', id, 'created_at', ARGV[1],
        'last_heartbeat', ARGV[1], 'worker_name', ARGV[4])
    redis.call('EXPIRE', execution, lifetime)
    redis.call('ZADD', executions, moment + lifetime + 60, ARGV[5])
    redis.call('EXPIRE', executions, lifetime + 60)
    redis.call('ZADD', in_work, moment + lifetime, both)
    redis.call('HSET', job, 'status', JOB_STARTED, 'started_at', ARGV[2],
        'last_heartbeat', ARGV[2], 'worker_name', ARGV[4])
    redis.call('PERSIST', job)
    redis.call('HSET', KEYS[3], 'state', WORKER_BUSY, 'last_heartbeat', ARGV[2])
    redis.call('EXPIRE', KEYS[3], lifetime)
    redis.call('SADD', KEYS[4], both)
    redis.call('EXPIRE', KEYS[4], lifetime)
end

local own_tokens = string.match(ARGV[9], '^.* ')

-- Whether another worker has locked the marker of these names, or one that it may turn out to be.
local function is_busy(json)
    local is_read, names, claims = pcall(read_names, json)
    if not is_read then
        return false
    end
    for _, list in ipairs({names, claims or {}}) do
        for _, name in ipairs(list) do
            local holder = redis.call('GET', LOCK_PREFIX .. (stored_name(name) or name))
            if holder and string.sub(holder, 1, #own_tokens) ~= own_tokens then
                return true
            end
        end
    end
    return false
end

-- The first job of a queue whose marker is free. The others stay where they are, so that a marker's changes
-- keep their order. A job without data is what is left of one that two workers ran at once; RQ would quit.
local function first(queue)
    local busy, start = {}, 0
    while start < MOST_PASSED_OVER do
        local ids = redis.call('LRANGE', queue, start, start == 0 and 0 or start + 99)
        if #ids == 0 then
            return nil
        end
        for _, id in ipairs(ids) do
            local job = job_prefix .. id
            if redis.call('HEXISTS', job, 'data') == 0 then
                redis.call('DEL', job)
                redis.call('LREM', queue, 1, id)
                start = start - 1
            else
                local names = redis.call('HGET', job, 'names') or ''
                if busy[names] == nil then
                    busy[names] = is_busy(names)
                end
                if not busy[names] then
                    return id
                end
            end
        end
        start = start + #ids
    end
end

-- The marker of a job, locked. If that fails the job is dequeued all the same: the worker finds out why.
local function locked(job)
    local is_locked, reply = pcall(function()
        local stored, granted = resolve(read_names(redis.call('HGET', job, 'names')))
        return lock(stored, granted, ARGV[9], ARGV[1])
    end)
    return is_locked and reply
end

local function dequeue(queue, in_work, is_urgent)
    local id = first(queue)
    if not id then
        return false
    end
    local permitted = permit(KEYS[2], moment, is_urgent)
    if permitted[1] ~= '0' then
        return false
    end
    redis.call('LREM', queue, 1, id)
    local job = job_prefix .. id
    start(id, job, in_work)
    return {queue, id, redis.call('HGETALL', job), permitted, locked(job)}
end

local is_acked = true
if #KEYS > 8 then
    is_acked = ack({unpack(KEYS, 9)}, {unpack(ARGV, 10)})
end
local paused_until = redis.call('HGET', KEYS[1], 'until')
if paused_until and moment < tonumber(paused_until) then
    return {is_acked, false}
end
return {is_acked, dequeue(KEYS[5], KEYS[6], true) or dequeue(KEYS[7], KEYS[8], false)}
