-- KEYS: budget
-- ARGV: now, '1' if the request is urgent
-- Returns what `permit` returns.
-- include functions/run_when_full
-- include functions/permit
return permit(KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1')
