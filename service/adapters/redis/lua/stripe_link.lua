-- An admin says whose an object is, above all metadata; also of one that Stripe has not told of yet.
--
-- KEYS  1 object   2 unspread   3 outbox                                                     (one slot)
-- ARGV  1 reader   2 now (ms)   3 name   4 audit entry
-- gives {1 = this is new, the owner before (as kept by `objects`; '' = nobody)}
local h = redis.call('HMGET', KEYS[1], 'link', 'owner')
if h[1] == ARGV[1] then return {0, h[2] or ''} end
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', ARGV[1], 'rev', rev, 'facts', rev)
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3])
redis.call('RPUSH', KEYS[3], ARGV[4])
return {1, h[2] or ''}
