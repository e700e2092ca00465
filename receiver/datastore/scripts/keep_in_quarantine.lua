-- Store a delivery in quarantine. The quarantine is bounded: expired entries are deleted, then the oldest ones.
-- KEYS: index, sizes, entry
-- ARGV: lifetime, most kept, most bytes, time received, size, then the fields of the entry
-- Returns how many entries were deleted to make room.
-- This comes first: it is what Redis refuses if its memory is full, as it should.
redis.call('HSET', KEYS[3], unpack(ARGV, 6))
redis.call('EXPIRE', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[4], KEYS[3])
redis.call('HSET', KEYS[2], KEYS[3], ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])

local function forget(entries)
    for _, entry in ipairs(entries) do
        redis.call('DEL', entry)
        redis.call('ZREM', KEYS[1], entry)
        redis.call('HDEL', KEYS[2], entry)
    end
    return #entries
end

forget(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4] - ARGV[1]))
local bytes = 0
for _, size in ipairs(redis.call('HVALS', KEYS[2])) do
    bytes = bytes + size
end
local dropped = 0
while redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) do
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)
    if oldest[1] == KEYS[3] then break end
    bytes = bytes - redis.call('HGET', KEYS[2], oldest[1])
    dropped = dropped + forget(oldest)
end
return dropped
