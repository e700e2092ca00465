-- Note what became of a delivery, for people who look. Nothing depends on it: whatever goes wrong here must not
-- stop what it is about.
local function note_delivery(stream, status, entry)
    redis.pcall('XADD', stream, 'MAXLEN', '~', MOST_DELIVERIES, '*', 'status', status, 'entry', entry)
    redis.pcall('EXPIRE', stream, DELIVERIES_LIFETIME)
end
