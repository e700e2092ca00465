-- KEYS: dead letters, then everything that RQ stores of the job
-- ARGV: job id
-- Returns 1 if the job was deleted, 0 if it was not a dead letter any more.
-- include functions/run_when_full
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('DEL', unpack(KEYS, 2))
return 1
