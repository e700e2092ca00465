-- Let the script run when the memory of Redis is full, see receiver/datastore/when_full.py: its first write may
-- not be one that needs memory. No such key exists.
redis.call('DEL', 'apitraffic:nothing')
