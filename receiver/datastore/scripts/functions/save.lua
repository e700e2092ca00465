-- Save fields of a marker, if this token still holds its lock. The lock is kept for `hold_for` seconds, or
-- released if that is '0'. Returns whether the marker was saved.
local function save(marker, lock_key, token, hold_for, ...)
    if redis.call('GET', lock_key) ~= token then
        return false
    end
    redis.call('HSET', marker, ...)
    redis.call('EXPIRE', marker, MARKER_LIFETIME)
    if hold_for == '0' then
        redis.call('DEL', lock_key)
    else
        redis.call('EXPIRE', lock_key, hold_for)
    end
    return true
end
