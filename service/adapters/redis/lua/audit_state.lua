-- What the audit chain says of itself, at one moment.
--
-- KEYS  1 log   2 head
-- gives {seq, hash, checkpoint ('' = none), how many records the log holds}
local head = redis.call('HMGET', KEYS[2], 'seq', 'hash', 'checkpoint')
return {head[1] or '', head[2] or '', head[3] or '', redis.call('HLEN', KEYS[1])}
