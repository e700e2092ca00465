-- Ack jobs that are done, and wake a worker if others wait: it may have passed over changes of these markers.
-- KEYS: worker, its executions, number delivered in this minute, bell, the queues
-- ARGV: '1' if the worker is idle then; then the arguments of `ack_all`
-- Returns for each whether it is done.
-- include functions/run_when_full
-- include functions/save
-- include functions/ack
-- include functions/ring
local done = ack_all(KEYS[1], KEYS[2], KEYS[3], ARGV, 2)
if ARGV[1] == '1' then
    redis.call('HSET', KEYS[1], 'state', WORKER_IDLE)
end
ring_if_queued(KEYS[4], {unpack(KEYS, 5)})
return done
