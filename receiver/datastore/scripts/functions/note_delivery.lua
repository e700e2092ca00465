-- Note what became of a delivery, for people who look. Nothing depends on it: whatever goes wrong here must not
-- stop what it is about. Without an entry there is nothing to note.
local function note_delivery(stream, status, entry)
    if entry == '' then
        return
    end
    redis.pcall('XADD', stream, 'MAXLEN', '~', MOST_DELIVERIES, '*', 'status', status, 'entry', entry)
    redis.pcall('EXPIRE', stream, DELIVERIES_LIFETIME)
end
