-- KEYS: one that holds nothing of value
-- include functions/run_when_full
return redis.call('SET', KEYS[1], '1', 'EX', 60)
