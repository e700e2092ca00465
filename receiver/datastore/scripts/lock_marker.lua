-- ARGV: token, '1' if the names are to be resolved, then the names
-- Returns what `lock` returns.
-- include functions/resolve
-- include functions/lock
local names = {unpack(ARGV, 3)}
if ARGV[2] == '1' then
    names = resolve(names)
end
return lock(names, ARGV[1])
