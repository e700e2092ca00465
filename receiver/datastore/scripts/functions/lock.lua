-- Lock the first of these stored markers. Returns {stored, fields, granted}, with false for the fields if
-- another owner holds the lock; `granted` is passed through. A token begins with its owner's name and a space: an owner may take over a lock of its own.
local function lock(stored, granted, token)
    local owner, key = string.match(token, '^.* '), LOCK_PREFIX .. stored[1]
    local holder = redis.call('GET', key)
    if holder and string.sub(holder, 1, #owner) ~= owner then
        return {stored, false, granted}
    end
    redis.call('SET', key, token, 'EX', LOCK_LIFETIME)
    return {stored, redis.call('HMGET', MARKER_PREFIX .. stored[1], unpack(MARKER_FIELDS)), granted}
end
