-- ARGV: names of a marker
-- Returns what `resolve` returns.
-- include functions/resolve
return resolve(ARGV)
