-- ARGV: commands, each with its arguments, separated by spaces
-- Returns those that the user of this connection may not run; none is run. Redis before 7 cannot be asked,
-- and none is returned.
local refused = {}
for _, command in ipairs(ARGV) do
    local words = {}
    for word in string.gmatch(command, '%S+') do
        words[#words + 1] = word
    end
    local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
    if known and not allowed then
        refused[#refused + 1] = command
    end
end
return refused
