-- Run commands in one step, as a transaction does: one that fails stops none of the others.
-- ARGV: version of the protocol; then for each command the number of its words, and these
-- Returns the reply of each, or its error.
-- include functions/run_when_full
redis.setresp(tonumber(ARGV[1]))
local replies, index = {}, 2
while ARGV[index] do
    local last = index + tonumber(ARGV[index])
    local reply = redis.pcall(unpack(ARGV, index + 1, last))
    if reply == nil then
        reply = false
    end
    replies[#replies + 1] = reply
    index = last + 1
end
return replies
