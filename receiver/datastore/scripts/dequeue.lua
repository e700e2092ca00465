-- Ack jobs that are done, and take the next ones: urgent before routine, none whose marker somebody is busy
-- with, and none while delivery is paused or the budget is exhausted. What is written of a job is what RQ writes,
-- see receiver/worker/job_queue.py.
-- KEYS: pause, budget, worker, its executions, number delivered in this minute; then the urgent queue, its jobs
-- in work, the routine queue, its jobs in work
-- ARGV: now, now as text, lifetime of an execution, name of the worker; how the keys begin of jobs, of
-- executions and of a job's executions; '1' if the worker is idle without these jobs; most jobs to take, and an
-- id of an execution for each; number of locks that the worker holds, and their tokens; then the arguments of
-- `ack_all`
-- Returns {for each ack whether the job is done, the jobs}. A job is {key of its queue, its id, its execution,
-- its fields, its permit, its marker as `lock` returns it, or nil}.
-- include functions/run_when_full
-- include functions/permit
-- include functions/resolve
-- include functions/lock
-- include functions/save
-- include functions/ack
local moment, lifetime = tonumber(ARGV[1]), tonumber(ARGV[3])
local name, job_prefix, execution_prefix, executions_prefix = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local owner, most = name .. ' ', tonumber(ARGV[9])
local held, tokens_at = {}, 11 + most
for index = tokens_at, tokens_at + ARGV[tokens_at - 1] - 1 do
    held[ARGV[index]] = true
end
local jobs, both = {}, {}

local function start(id, job, in_work, execution_id)
    local name_of_both = id .. ':' .. execution_id
    local execution, executions = execution_prefix .. name_of_both, executions_prefix .. id
    redis.call('HSET', execution, 'id', execution_id, 'job_id', id, 'created_at', ARGV[1],
        'last_heartbeat', ARGV[1], 'worker_name', name)
    redis.call('EXPIRE', execution, lifetime)
    redis.call('ZADD', executions, moment + lifetime + 60, execution_id)
    redis.call('EXPIRE', executions, lifetime + 60)
    -- In the order in which they were queued, so that they can be put back in that order.
    redis.call('ZADD', in_work, moment + lifetime + #jobs / 1000, name_of_both)
    redis.call('HSET', job, 'status', JOB_STARTED, 'started_at', ARGV[2],
        'last_heartbeat', ARGV[2], 'worker_name', name)
    redis.call('PERSIST', job)
    both[#both + 1] = name_of_both
end

-- Whether the marker of these names is locked, or one that it may turn out to be.
local function is_busy(json)
    local is_read, names, claims = pcall(read_names, json)
    if not is_read then
        return false
    end
    for _, list in ipairs({names, claims or {}}) do
        for _, each in ipairs(list) do
            if keeps_out(redis.call('GET', LOCK_PREFIX .. (stored_name(each) or each)), owner, held) then
                return true
            end
        end
    end
    return false
end

-- The marker of a job, locked. If that fails the job is dequeued all the same: the worker finds out why.
local function locked(names, token)
    local is_locked, reply = pcall(function()
        local stored, granted = resolve(read_names(names))
        return lock(stored, granted, token, ARGV[1], held)
    end)
    if is_locked and reply[2] then
        held[token] = true
    end
    return is_locked and reply
end

-- Take this job, the first in its queue whose marker is free; returns whether the budget allows it.
local function take(queue, in_work, id, names, is_urgent)
    local permitted = permit(KEYS[2], moment, is_urgent)
    if permitted[1] ~= '0' then
        return false
    end
    local job, execution_id = job_prefix .. id, ARGV[10 + #jobs]
    start(id, job, in_work, execution_id)
    -- Afterwards: Redis does not undo a script that fails in the middle.
    redis.call('LREM', queue, 1, id)
    jobs[#jobs + 1] = {queue, id, execution_id, redis.call('HGETALL', job), permitted,
        locked(names, owner .. execution_id)}
    return true
end

-- Take jobs of a queue whose markers are free. The others stay where they are, so that a marker's changes keep
-- their order. A job without data is what is left of one that two workers ran at once; RQ would quit.
local function dequeue(queue, in_work, is_urgent)
    local busy, at = {}, 0
    while #jobs < most and at < MOST_PASSED_OVER do
        local ids = redis.call('LRANGE', queue, at, at + (at == 0 and most - #jobs - 1 or 99))
        if #ids == 0 then
            return
        end
        for _, id in ipairs(ids) do
            local job = job_prefix .. id
            if redis.call('HEXISTS', job, 'data') == 0 then
                redis.call('DEL', job)
                redis.call('LREM', queue, 1, id)
            else
                local names = redis.call('HGET', job, 'names') or ''
                if not busy[names] and is_busy(names) then
                    busy[names] = true
                end
                if busy[names] then
                    at = at + 1
                elseif not take(queue, in_work, id, names, is_urgent) then
                    return
                end
                if #jobs == most then
                    return
                end
            end
        end
    end
end

local done = ack_all(KEYS[3], KEYS[4], KEYS[5], ARGV, tokens_at + ARGV[tokens_at - 1])
local paused_until = redis.call('HGET', KEYS[1], 'until')
if paused_until and moment < paused_until + TRIAL then
    most = 1
end
if not (paused_until and moment < tonumber(paused_until)) then
    dequeue(KEYS[6], KEYS[7], true)
    dequeue(KEYS[8], KEYS[9], false)
end
if #jobs > 0 then
    redis.call('HSET', KEYS[3], 'state', WORKER_BUSY, 'last_heartbeat', ARGV[2])
    redis.call('EXPIRE', KEYS[3], lifetime)
    redis.call('SADD', KEYS[4], unpack(both))
    redis.call('EXPIRE', KEYS[4], lifetime)
elseif ARGV[8] == '1' and #done > 0 then
    redis.call('HSET', KEYS[3], 'state', WORKER_IDLE)
end
return {done, jobs}
