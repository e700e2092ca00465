-- Remember a marker, or forget it, and read what is remembered around it.
-- KEYS: records, the history of its subject and environment, the timelines of all types
-- ARGV: its key, its time, its record ('' to forget it, '=' to only read), the number of its timeline ('0' for
-- none), '1' if it belongs into the history, the time before which timelines forget; then, for each period to
-- read: the number of the timeline, start, end, how many at most, '1' for the latest first
-- Returns {the records of the history, then those of each period}.
-- include functions/run_when_full
local records, history, own, record, timeline = KEYS[1], KEYS[2], ARGV[1], ARGV[3], tonumber(ARGV[4])

if record ~= '=' then
    for number = 3, #KEYS do
        if number - 2 ~= timeline or record == '' then
            redis.call('ZREM', KEYS[number], own)
        end
    end
    redis.call('HDEL', records, own)
    redis.call('HDEL', history, own)
end
if record ~= '=' and record ~= '' then
    redis.call('ZADD', KEYS[timeline + 2], ARGV[2], own)
    redis.call('HSET', records, own, record)
    if ARGV[5] == '1' then
        redis.call('HSET', history, own, record)
        redis.call('EXPIRE', history, HISTORY_LIFETIME)
    end
    local old = redis.call('ZRANGEBYSCORE', KEYS[timeline + 2], '-inf', '(' .. ARGV[6], 'LIMIT', 0, 50)
    local size = redis.call('ZCARD', KEYS[timeline + 2])
    if #old == 0 and size > MOST_RECORDS then
        old = redis.call('ZRANGE', KEYS[timeline + 2], 0, size - MOST_RECORDS - 1)
    end
    if #old > 0 then
        redis.call('ZREM', KEYS[timeline + 2], unpack(old))
        redis.call('HDEL', records, unpack(old))
    end
    redis.call('EXPIRE', KEYS[timeline + 2], TIMELINE_LIFETIME)
    redis.call('EXPIRE', records, TIMELINE_LIFETIME)
end

local found = {redis.call('HVALS', history)}
for index = 7, #ARGV, 5 do
    local set, from, to, most = KEYS[tonumber(ARGV[index]) + 2], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local names
    if ARGV[index + 4] == '1' then
        names = redis.call('ZRANGE', set, to, from, 'BYSCORE', 'REV', 'LIMIT', 0, most)
    else
        names = redis.call('ZRANGE', set, from, to, 'BYSCORE', 'LIMIT', 0, most)
    end
    found[#found + 1] = {}
    if #names > 0 then
        for _, kept in ipairs(redis.call('HMGET', records, unpack(names))) do
            if kept then
                table.insert(found[#found], kept)
            end
        end
    end
end
return found
