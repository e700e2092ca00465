-- KEYS: marker, its lock
-- ARGV: token, seconds to hold the lock, then fields and values
-- Returns 1 if the marker was saved, else nil.
-- include functions/run_when_full
-- include functions/save
return save(KEYS[1], KEYS[2], unpack(ARGV))
