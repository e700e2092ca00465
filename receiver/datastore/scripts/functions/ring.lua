-- Wake a worker that waits at the bell, if there is a job in one of these queues.
local function ring_if_queued(bell, queues)
    for _, queue in ipairs(queues) do
        if redis.call('LLEN', queue) > 0 then
            redis.call('LPUSH', bell, '1')
            redis.call('LTRIM', bell, 0, 31)
            redis.call('EXPIRE', bell, 3600)
            return
        end
    end
end
