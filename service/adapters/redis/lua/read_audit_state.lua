#!lua flags=no-writes
-- Read what the audit chain states of itself, at one moment.
--
-- KEYS  1 log   2 head
-- Returns {seq, hash, checkpoint ('' = none), number of records in the log}
local head = redis.call('HMGET', KEYS[2], 'seq', 'hash', 'checkpoint')
return {head[1] or '', head[2] or '', head[3] or '', redis.call('HLEN', KEYS[1])}
