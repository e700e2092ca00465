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

-- A plugin that does not know its job's id calls its event by the name of the run and a part of its own.
local function is_plugin_of(own_name, name)
    local start = name .. ':job:'
    return string.sub(own_name, 1, #start) == start
end

-- A run's name may be claimed twice: by one event of a plugin and by one deployment, which are one marker then.
-- Returned are the keys of this marker's claim and of the other one.
local function claim_keys(name, own_name)
    local of_deployment, of_plugin = CLAIM_PREFIX .. name, CLAIM_PREFIX .. 'plugin:' .. name
    if is_plugin_of(own_name, name) then
        return of_plugin, of_deployment
    end
    return of_deployment, of_plugin
end

-- Whether what is stored under this name is the marker that has the other claim.
local function is_others(stored, other_claim)
    local other = redis.call('GET', other_claim)
    return other and stored_name(other) == stored
end

-- Of the names that a marker shares with its neighbours, those that it has for itself: it came first with them,
-- and what is stored under one of them is not the marker of something else.
local function grant(names, claims)
    local own, granted = {}, {}
    for _, name in ipairs(names) do
        local stored = stored_name(name)
        if stored then
            own[stored] = true
        end
    end
    for _, name in ipairs(claims) do
        local claim, other_claim = claim_keys(name, names[1])
        local owner, stored = redis.call('GET', claim), stored_name(name)
        local is_keyed = stored == name and not is_plugin_of(names[1], name)
        if owner == names[1]
            or not owner and (not stored or is_keyed or own[stored] or is_others(stored, other_claim)) then
            redis.call('SET', claim, names[1], 'EX', MARKER_LIFETIME)
            granted[#granted + 1] = name
            if stored then
                own[stored] = true
            end
        end
    end
    return granted
end

-- The names in this JSON and the claims, if any; earlier versions wrote a list of the names only.
local function read_names(json)
    local found = cjson.decode(json)
    return found.names or found, found.claims
end

-- The name under which the marker of these names is stored, then the other stored names that turn out to mean
-- the same marker. Those are returned each time until they are merged, and always in the same order, so that
-- no two workers wait for each other's lock. The marker exists afterwards, so the next who asks for one of
-- its names finds it. Returned second: which of the claims were granted.
local function resolve(own_names, claims)
    local granted = grant(own_names, claims or {})
    local names = {}
    for _, list in ipairs({own_names, granted}) do
        for _, name in ipairs(list) do
            names[#names + 1] = name
        end
    end
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
    return stored, granted
end
