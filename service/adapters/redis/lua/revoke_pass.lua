#!lua flags=allow-oom
-- Revoke a story pass, with its audit entry; a revoked pass stays as it is.
--
-- KEYS  1 pass   2 outbox            (one slot)
-- ARGV  1 now (s)   2 audit entry
-- Returns 1 revoked now | 0 it was revoked before | -1 there is no such pass
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
if redis.call('HEXISTS', KEYS[1], 'revoked') == 1 then return 0 end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], 'revoked', ARGV[1])
return 1
