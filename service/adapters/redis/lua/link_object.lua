#!lua flags=allow-oom
-- Link an object to a reader by an admin's decision, above all metadata; also an object that Stripe has not reported yet.
--
-- KEYS  1 object   2 fan-out queue   3 outbox                                                (one slot)
-- ARGV  1 reader   2 now (ms)   3 name   4 audit entry
-- Returns {1 = the link is new, the owner before (packed by `objects`; '' = unassigned)}
local h = redis.call('HMGET', KEYS[1], 'link', 'owner')
if h[1] == ARGV[1] then return {0, h[2] or ''} end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[3], ARGV[4])
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', ARGV[1], 'rev', rev, 'facts', rev)
redis.call('HDEL', KEYS[1], 'imports')
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3])
return {1, h[2] or ''}
