#!lua flags=allow-oom
-- Store a new story pass, with its audit entry; a repeat changes nothing.
--
-- KEYS  1 pass   2 outbox            (one slot)
-- ARGV  1 doc    2 openings   3 until (s)   4 expire at (s)   5 audit entry
if redis.call('EXISTS', KEYS[1]) == 1 then return end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'doc', ARGV[1], 'openings', ARGV[2], 'until', ARGV[3], 'used', 0)
redis.call('EXPIREAT', KEYS[1], ARGV[4])
