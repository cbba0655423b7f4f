#!lua flags=allow-oom
-- Remove the link of an object to a reader. The field stays, empty, as the sign that there was a link.
--
-- KEYS  1 object   2 fan-out queue   3 outbox                                                (one slot)
-- ARGV  1 reader   2 now (ms)   3 name   4 audit entry
-- Returns 1 | 0 the object is not linked to this reader
if redis.call('HGET', KEYS[1], 'link') ~= ARGV[1] then return 0 end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[3], ARGV[4])
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', '', 'rev', rev, 'facts', rev)
redis.call('HDEL', KEYS[1], 'imports')
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3])
return 1
