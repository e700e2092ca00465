-- Ack the job before, if there is one, and take the next one: urgent before routine, and none while delivery
-- is paused or the budget is exhausted. What is written of a job is what RQ writes, see
-- receiver/worker/job_queue.py.
-- KEYS: pause, budget, worker, its executions, the urgent queue, its jobs in work, the routine queue, its
-- jobs in work; then the keys of `ack`, if any
-- ARGV: now, now as text, lifetime of an execution, name of the worker, id of the execution; how the keys begin
-- of jobs, of executions and of a job's executions; token for the lock of the marker; then the arguments of
-- `ack`, if any
-- Returns {whether the job before is done, the next job}, nil for none. A job is {key of its queue, its id,
-- its fields, its permit, its marker as `lock` returns it, or nil}.
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

-- The first job of a queue. A job without data is what is left of one that two workers ran at once; RQ would
-- quit.
local function first(queue)
    local id = redis.call('LINDEX', queue, 0)
    while id and redis.call('HEXISTS', job_prefix .. id, 'data') == 0 do
        redis.call('DEL', job_prefix .. id)
        redis.call('LPOP', queue)
        id = redis.call('LINDEX', queue, 0)
    end
    return id
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
    redis.call('LPOP', queue)
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
