-- Ack jobs that are done, then note that requests begin: the markers of which they are in doubt are saved.
-- Nothing is noted while delivery is paused or the API has said that the budget is used up.
-- KEYS: worker, its executions, number delivered in this minute, pause, budget
-- ARGV: now, number of markers, how many arguments `save` takes, these for each marker; then the arguments of
-- `ack_all`
-- Returns {for each ack whether the job is done, for each marker '1' if it was saved, '0' if its lock has been
-- lost, or 'wait'}.
-- include functions/run_when_full
-- include functions/save
-- include functions/ack
local moment, number, length = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local done = ack_all(KEYS[1], KEYS[2], KEYS[3], ARGV, 4 + number * length)
local paused_until = redis.call('HGET', KEYS[4], 'until')
local blocked_until = redis.call('HGET', KEYS[5], 'blocked')
local must_wait = paused_until and moment < tonumber(paused_until)
    or blocked_until and moment < tonumber(blocked_until)
local saved = {}
for index = 1, number do
    local at = 4 + (index - 1) * length
    if must_wait then
        saved[index] = 'wait'
    else
        saved[index] = save(unpack(ARGV, at, at + length - 1)) and '1' or '0'
    end
end
return {done, saved}
