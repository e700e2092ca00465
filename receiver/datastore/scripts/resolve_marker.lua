-- ARGV: names of a marker
-- Returns what `resolve` returns first.
-- include functions/resolve
return (resolve(ARGV))
