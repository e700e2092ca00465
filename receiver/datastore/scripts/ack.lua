-- KEYS and ARGV: as `ack`
-- Returns 1 if the job is done, else nil.
-- include functions/run_when_full
-- include functions/ack
return ack(KEYS, ARGV)
