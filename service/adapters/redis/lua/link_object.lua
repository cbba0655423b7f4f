#!lua flags=allow-oom
-- Link an object to a reader by an admin's decision, above all metadata; also an object that Stripe has not reported yet. Or
-- remove the link. Then the field stays, empty, as the sign that there was a link.
--
-- KEYS  1 object   2 fan-out queue   3 outbox                                                (one slot)
-- ARGV  1 reader ('' = remove the link)   2 now (ms)   3 name   4 audit entry   5 the link to be removed
-- Returns {1 = the link has changed, the owner before (packed by `objects`; '' = unassigned)}
local h = redis.call('HMGET', KEYS[1], 'link', 'owner')
local owner = h[2] or ''
if h[1] == ARGV[1] or ARGV[1] == '' and h[1] ~= ARGV[5] then return {0, owner} end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[3], ARGV[4])
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', ARGV[1], 'rev', rev, 'facts', rev)
redis.call('HDEL', KEYS[1], 'imports')
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3])
return {1, owner}
