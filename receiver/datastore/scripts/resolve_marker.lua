-- ARGV: names of a marker
-- Returns what `resolve` returns first.
-- include functions/run_when_full
-- include functions/resolve
return (resolve(ARGV))
