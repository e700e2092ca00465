"""Redis' side of markers: one step each for finding, opening and saving one, also within other steps.

Redis keys: `apitraffic:marker:<key>`, 180 days after its last change; `apitraffic:alias:<key>` and
`apitraffic:claim:<name>`, as long; `apitraffic:lock:<key>`, two and a half minutes at most.
"""

from typing import Final

from receiver.datastore.keys import ALIAS_PREFIX, CLAIM_PREFIX, LOCK_PREFIX, MARKER_LIFETIME, MARKER_PREFIX
from receiver.queue.queues import JOB_TIMEOUT

LOCK_LIFETIME: Final = JOB_TIMEOUT + 30
"""Seconds; longer than the job that holds it may run, so that only a dead worker loses it."""
MOST_MERGES: Final = 16
"""Markers that one name leads through, each merged into the next; asking for a name shortens its way.
One that is behind more, never asked for meanwhile, counts as new."""

FIELDS: Final = ("changes", "sid", "sent", "in_doubt", "unanswered_since")

RESOLVE: Final = f"""
-- The name under which a marker of this name is kept: its own, or the one's that it was merged into, and on.
local function kept_as(name)
    for _ = 1, {MOST_MERGES} do
        if redis.call('EXISTS', '{MARKER_PREFIX}' .. name) == 1 then
            return name
        end
        name = redis.call('GET', '{ALIAS_PREFIX}' .. name)
        if not name then
            return nil
        end
    end
end

local function know_as(name, kept)
    if name ~= kept then
        redis.call('SET', '{ALIAS_PREFIX}' .. name, kept, 'EX', {MARKER_LIFETIME})
    end
end

-- Of the names that neighbours have too, those that this marker has for itself: it came first with them, and
-- what is kept under one of them is not the marker of something else that is only known by it as well.
local function claimed(names, claims)
    local own, granted = {{}}, {{}}
    for _, name in ipairs(names) do
        local kept = kept_as(name)
        if kept then
            own[kept] = true
        end
    end
    for _, name in ipairs(claims) do
        local owner, kept = redis.call('GET', '{CLAIM_PREFIX}' .. name), kept_as(name)
        if owner == names[1] or not owner and (not kept or kept == name or own[kept]) then
            redis.call('SET', '{CLAIM_PREFIX}' .. name, names[1], 'EX', {MARKER_LIFETIME})
            granted[#granted + 1] = name
            if kept then
                own[kept] = true
            end
        end
    end
    return granted
end

-- The name under which the marker is kept, then other such names that turn out to mean the same one: they are
-- found again and again until they are merged, in one order, so that no two workers hold what the other one
-- waits for. A marker exists from here on, so that whoever comes next with one of its names finds it.
-- Second, which of the claims were granted.
local function resolve(own_names, claims)
    local granted = claimed(own_names, claims or {{}})
    local names = {{}}
    for _, list in ipairs({{own_names, granted}}) do
        for _, name in ipairs(list) do
            names[#names + 1] = name
        end
    end
    local kept, is_listed, unknown = {{}}, {{}}, {{}}
    for _, name in ipairs(names) do
        local target = kept_as(name)
        if not target then
            unknown[#unknown + 1] = name
        else
            know_as(name, target)
            if not is_listed[target] then
                is_listed[target] = true
                kept[#kept + 1] = target
            end
        end
    end
    if #kept == 0 then
        kept[1] = names[1]
        redis.call('HSET', '{MARKER_PREFIX}' .. kept[1], 'in_doubt', '0')
        redis.call('EXPIRE', '{MARKER_PREFIX}' .. kept[1], {MARKER_LIFETIME})
    end
    table.sort(kept)
    for _, name in ipairs(unknown) do
        know_as(name, kept[1])
    end
    return kept, granted
end
"""

RESOLVE_SCRIPT: Final = f"""
-- ARGV: the names
{RESOLVE}
return (resolve(ARGV))
"""

FIELD_LIST: Final = ", ".join(f"'{field}'" for field in FIELDS)
OPEN: Final = f"""
{RESOLVE}
-- A marker's own names and its claims, as `Change` tells them apart; earlier versions wrote the names only.
local function named(json)
    local found = cjson.decode(json)
    return found.names or found, found.claims
end

-- The names under which a marker is kept; where nobody but the token's owner has it, its fields; and which of
-- its claims were granted.
local function open(kept, granted, token)
    local owner, lock = string.match(token, '^.* '), '{LOCK_PREFIX}' .. kept[1]
    local holder = redis.call('GET', lock)
    if holder and string.sub(holder, 1, #owner) ~= owner then
        return {{kept, false, granted}}
    end
    redis.call('SET', lock, token, 'EX', {LOCK_LIFETIME})
    return {{kept, redis.call('HMGET', '{MARKER_PREFIX}' .. kept[1], {FIELD_LIST}), granted}}
end
"""

OPEN_SCRIPT: Final = f"""
-- ARGV: token, whether to resolve, the names as JSON
{OPEN}
local names, claims = named(ARGV[3])
local granted = {{}}
if ARGV[2] == '1' then
    names, granted = resolve(names, claims)
end
return open(names, granted, ARGV[1])
"""

SAVE: Final = f"""
-- Whether the lock was still this token's; nothing is written where it was not. It is kept for so many
-- seconds, or given back where they are 0; then come fields and values.
local function save(marker, lock, token, hold_for, ...)
    if redis.call('GET', lock) ~= token then
        return false
    end
    redis.call('HSET', marker, ...)
    redis.call('EXPIRE', marker, {MARKER_LIFETIME})
    if hold_for == '0' then
        redis.call('DEL', lock)
    else
        redis.call('EXPIRE', lock, hold_for)
    end
    return true
end
"""

SAVE_SCRIPT: Final = f"""
-- KEYS: marker, lock. ARGV: as `save`
{SAVE}
return save(KEYS[1], KEYS[2], unpack(ARGV))
"""

BREAK_LOCK_SCRIPT: Final = """
-- KEYS: lock. ARGV: the token, or how its owner's tokens begin
local token = redis.call('GET', KEYS[1])
if token and string.sub(token, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""
