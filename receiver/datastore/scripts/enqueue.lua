-- Queue the changes of one delivery, unless it has been queued before. For each job this is what
-- `Queue.enqueue` of RQ does in eight commands and two round trips. What all jobs have in common is a
-- constant of the script.
-- KEYS: seen, set of queues, bell, log of deliveries, then the job and the queue of each change
-- ARGV: lifetime of seen, time, entry for the log or '', then for each job its id, data, description, names of its
-- marker and name of its queue; last, if there is a trace, the meta of all jobs
-- Returns 1 if they were queued, 0 if the delivery had been queued before.
-- Redis does not undo a script that fails in the middle: the delivery only counts as seen once its jobs are queued.
-- include functions/note_delivery
if redis.call('EXISTS', KEYS[1]) == 1 then
    note_delivery(KEYS[4], 'duplicate', ARGV[3])
    return 0
end
local first = 4
for index = 5, #KEYS, 2 do
    redis.call('HSET', KEYS[index], 'created_at', ARGV[2], 'enqueued_at', ARGV[2], 'data', ARGV[first + 1],
        'description', ARGV[first + 2], 'names', ARGV[first + 3], 'origin', ARGV[first + 4], unpack(COMMON_FIELDS))
    -- RQ adds the queue to its set each time; a list that has had jobs before was added then.
    if redis.call('RPUSH', KEYS[index + 1], ARGV[first]) == 1 then
        redis.call('SADD', KEYS[2], KEYS[index + 1])
    end
    first = first + 5
end
if ARGV[first] then
    for index = 5, #KEYS, 2 do
        redis.call('HSET', KEYS[index], 'meta', ARGV[first])
    end
end
redis.call('SET', KEYS[1], '1', 'EX', ARGV[1])
-- With so many rings no worker waits at the bell.
if redis.call('LLEN', KEYS[3]) < 32 then
    redis.call('LPUSH', KEYS[3], '1')
    redis.call('EXPIRE', KEYS[3], 3600)
end
note_delivery(KEYS[4], 'accepted', ARGV[3])
return 1
