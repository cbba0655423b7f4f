#!lua flags=allow-oom
-- Release a seat, also for good the invitation by which the reader got it.
--
-- KEYS  1 object   2 seats   3 accepted   4 fan-out queue   5 outbox                         (one slot)
-- ARGV  1 reader   2 now (ms)   3 name   4 audit entry, or ''
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return end
-- The entry comes first: if it cannot be written, nothing is changed.
if ARGV[4] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[4]) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'rev', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('ZADD', KEYS[4], 'NX', ARGV[2], ARGV[3])
