-- KEYS: lock
-- ARGV: its token, or how the tokens of its owner begin
-- include functions/run_when_full
local token = redis.call('GET', KEYS[1])
if token and string.sub(token, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
