-- Ask for one request. Returns {'<seconds to wait>'}, or {'0', …} if the request is permitted and counted.
-- What follows '0' depends on what the API has said: nothing if it has not named a limit, else the end of the
-- window in which the request was counted, and, if an answer has confirmed that window, its limit and what
-- remains of it.
local function permit(budget, moment, is_urgent)
    local limit, remaining, reset, blocked, provisional =
        unpack(redis.call('HMGET', budget, 'limit', 'remaining', 'reset', 'blocked', 'provisional'))
    if blocked and moment < tonumber(blocked) then
        return {tostring(blocked - moment)}
    end
    if not limit then
        return {'0'}
    end
    if moment >= reset + WINDOW_MARGIN then
        local provisional_reset = tostring(moment + PROVISIONAL_WINDOW)
        redis.call('HSET', budget, 'remaining', limit - 1, 'reset', provisional_reset, 'provisional', '1')
        redis.call('EXPIRE', budget, BUDGET_LIFETIME)
        return {'0', provisional_reset}
    end
    local kept = 0
    if not is_urgent then
        kept = math.ceil(limit / RESERVED_SHARE)
    end
    if tonumber(remaining) <= kept then
        return {tostring(reset + WINDOW_MARGIN - moment)}
    end
    redis.call('HINCRBY', budget, 'remaining', -1)
    if provisional == '1' then
        return {'0', reset}
    end
    return {'0', reset, limit, tostring(remaining - 1)}
end
