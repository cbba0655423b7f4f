#!lua flags=allow-oom
-- Assign a seat while one is free: two requests at once never both get the last one.
--
-- KEYS  1 object   2 seats   3 removed   4 fan-out queue   5 outbox                          (one slot)
-- ARGV  1 rev that the quantity was computed from   2 quantity   3 reader   4 now (ms)   5 name   6 audit entry, or ''
-- Returns {'given' | 'again' (has one) | 'full' | 'retry' (the object has changed meanwhile), rev}
local rev = tonumber(redis.call('HGET', KEYS[1], 'rev') or '0')
if rev ~= tonumber(ARGV[1]) then return {'retry', rev} end
if redis.call('ZSCORE', KEYS[2], ARGV[3]) then return {'again', rev} end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then return {'full', rev} end
-- The entry comes first: if it cannot be written, nothing is changed.
if ARGV[6] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[6]) end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
-- Each seat is newer than the one before, also within a millisecond: the newest are removed first.
redis.call('ZADD', KEYS[2], math.max(tonumber(ARGV[4]), last and tonumber(last) + 1 or 0), ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[3])
rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'rev', rev)
redis.call('ZADD', KEYS[4], 'NX', ARGV[4], ARGV[5])
return {'given', rev}
