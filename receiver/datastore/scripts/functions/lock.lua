-- Since when this Redis has kept its data, noted when it is first asked.
local function remembers_since(moment)
    local since = redis.call('GET', REMEMBERS_SINCE)
    if not since then
        redis.call('SET', REMEMBERS_SINCE, moment)
    end
    return since or moment
end

-- Whether the holder of a lock keeps this owner out. A token begins with its owner's name and a space: an owner
-- may take over a lock of its own, unless it is one of those that its threads hold.
local function keeps_out(holder, owner, held)
    return holder and (string.sub(holder, 1, #owner) ~= owner or held[holder] ~= nil)
end

-- Lock the first of these stored markers. Returns {stored, fields, granted, since when Redis remembers}, with
-- false for the fields if it is locked already; `granted` is passed through. `held` has the tokens that the
-- owner's threads hold as its keys.
local function lock(stored, granted, token, moment, held)
    local owner, key = string.match(token, '^.* '), LOCK_PREFIX .. stored[1]
    local holder, since = redis.call('GET', key), remembers_since(moment)
    if keeps_out(holder, owner, held) then
        return {stored, false, granted, since}
    end
    redis.call('SET', key, token, 'EX', LOCK_LIFETIME)
    local fields = redis.call('HMGET', MARKER_PREFIX .. stored[1], unpack(MARKER_FIELDS))
    return {stored, fields, granted, since}
end
