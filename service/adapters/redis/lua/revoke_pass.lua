#!lua flags=allow-oom
-- Revoke a story pass, with its audit entry; a revoked pass stays as it is.
--
-- KEYS  1 pass   2 outbox            (one slot)
-- ARGV  1 now (s)   2 audit entry
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'revoked') == 1 then return end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], 'revoked', ARGV[1])
