-- ARGV: token, '1' if the names are to be resolved, the names as `read_names` takes them, now; then the tokens
-- that the owner's threads hold
-- Returns what `lock` returns.
-- include functions/run_when_full
-- include functions/resolve
-- include functions/lock
local names, claims = read_names(ARGV[3])
local granted, held = {}, {}
if ARGV[2] == '1' then
    names, granted = resolve(names, claims)
end
for index = 5, #ARGV do
    held[ARGV[index]] = true
end
return lock(names, granted, ARGV[1], ARGV[4], held)
