-- Plan a second look at markers, or have it earlier. One that is due may be under way already, and have read what
-- has changed since: its time is changed a little, so that it is made once more (see second_look_done.lua).
-- KEYS: second looks
-- ARGV: when, then the markers' keys
-- include functions/run_when_full
for index = 2, #ARGV do
    local planned = redis.call('ZSCORE', KEYS[1], ARGV[index])
    if not planned or tonumber(planned) > tonumber(ARGV[1]) then
        redis.call('ZADD', KEYS[1], ARGV[1], ARGV[index])
    else
        redis.call('ZINCRBY', KEYS[1], 0.001, ARGV[index])
    end
end
