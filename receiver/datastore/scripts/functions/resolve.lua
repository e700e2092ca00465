-- The name under which the marker of this name is stored: its own, or that of the marker it was merged into,
-- and so on.
local function stored_name(name)
    for _ = 1, MOST_MERGES do
        if redis.call('EXISTS', MARKER_PREFIX .. name) == 1 then
            return name
        end
        name = redis.call('GET', ALIAS_PREFIX .. name)
        if not name then
            return nil
        end
    end
end

local function make_alias(name, target)
    if name ~= target then
        redis.call('SET', ALIAS_PREFIX .. name, target, 'EX', MARKER_LIFETIME)
    end
end

-- The name under which the marker of these names is stored, then the other stored names that turn out to mean
-- the same marker. Those are returned each time until they are merged, and always in the same order, so that
-- no two workers wait for each other's lock. The marker exists afterwards, so the next who asks for one of
-- its names finds it.
local function resolve(names)
    local stored, is_listed, unknown = {}, {}, {}
    for _, name in ipairs(names) do
        local target = stored_name(name)
        if not target then
            unknown[#unknown + 1] = name
        else
            make_alias(name, target)
            if not is_listed[target] then
                is_listed[target] = true
                stored[#stored + 1] = target
            end
        end
    end
    if #stored == 0 then
        stored[1] = names[1]
        redis.call('HSET', MARKER_PREFIX .. stored[1], 'in_doubt', '0')
        redis.call('EXPIRE', MARKER_PREFIX .. stored[1], MARKER_LIFETIME)
    end
    table.sort(stored)
    for _, name in ipairs(unknown) do
        make_alias(name, stored[1])
    end
    return stored
end
