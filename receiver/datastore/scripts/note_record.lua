-- Remember a marker, or forget it, plan a second look at it, and read what is remembered around it.
-- KEYS: records, the history of its subject and environment, the second looks, the timelines of all types
-- ARGV: its key, its time, its record ('' to forget it, '=' to only read), the number of its timeline, '1' if it
-- belongs into the history, the time before which timelines forget, when to look at it again ('' for never); then,
-- for each period to read: the number of the timeline, start, end, how many at most, '1' for the latest first
-- Returns the records of the history, then those of each period, as text: one on a line, and an empty line
-- between the lists.
-- include functions/run_when_full
local records, history, own, record = KEYS[1], KEYS[2], ARGV[1], ARGV[3]
local timeline = KEYS[tonumber(ARGV[4]) + 3]

local function forget_what_is_old()
    local old = redis.call('ZRANGEBYSCORE', timeline, '-inf', '(' .. ARGV[6], 'LIMIT', 0, 50)
    local size = redis.call('ZCARD', timeline)
    if #old == 0 and size > MOST_RECORDS then
        old = redis.call('ZRANGE', timeline, 0, size - MOST_RECORDS - 1)
    end
    if #old > 0 then
        redis.call('ZREM', timeline, unpack(old))
        redis.call('HDEL', records, unpack(old))
    end
end

if record == '' then
    for number = 4, #KEYS do
        redis.call('ZREM', KEYS[number], own)
    end
    redis.call('HDEL', records, own)
    redis.call('HDEL', history, own)
elseif record ~= '=' then
    local is_first = redis.call('HSET', records, own, record) == 1
    if redis.call('ZADD', timeline, ARGV[2], own) == 1 and not is_first then
        -- Its type has changed.
        for number = 4, #KEYS do
            if KEYS[number] ~= timeline then
                redis.call('ZREM', KEYS[number], own)
            end
        end
    end
    if ARGV[5] == '1' then
        redis.call('HSET', history, own, record)
        redis.call('EXPIRE', history, HISTORY_LIFETIME)
    else
        redis.call('HDEL', history, own)
    end
    forget_what_is_old()
    redis.call('EXPIRE', timeline, TIMELINE_LIFETIME)
    redis.call('EXPIRE', records, TIMELINE_LIFETIME)
end
if ARGV[7] ~= '' then
    redis.call('ZADD', KEYS[3], 'LT', ARGV[7], own)
end

local found = {table.concat(redis.call('HVALS', history), '\n')}
for index = 8, #ARGV, 5 do
    local set, from, to, most = KEYS[tonumber(ARGV[index]) + 3], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local names, near = nil, {}
    if ARGV[index + 4] == '1' then
        names = redis.call('ZRANGE', set, to, from, 'BYSCORE', 'REV', 'LIMIT', 0, most)
    else
        names = redis.call('ZRANGE', set, from, to, 'BYSCORE', 'LIMIT', 0, most)
    end
    if #names > 0 then
        for _, kept in ipairs(redis.call('HMGET', records, unpack(names))) do
            if kept then
                near[#near + 1] = kept
            end
        end
    end
    found[#found + 1] = table.concat(near, '\n')
end
return table.concat(found, '\n\n')
