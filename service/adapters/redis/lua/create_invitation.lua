#!lua flags=allow-oom
-- Create an invitation to a seat while fewer are open than seats are free.
--
-- KEYS  1 object   2 seats   3 invitations                                                   (one slot)
-- ARGV  1 rev that the quantity was computed from   2 quantity   3 now (ms)   4 invitation   5 until (ms)
--       6 seconds for which the list of invitations must be kept at least
-- Returns 'created' (a repeat too) | 'full' | 'retry' (the object has changed meanwhile)
if tonumber(redis.call('HGET', KEYS[1], 'rev') or '0') ~= tonumber(ARGV[1]) then return 'retry' end
if redis.call('ZSCORE', KEYS[3], ARGV[4]) then return 'created' end
-- What has expired is removed. The score of a withdrawn invitation is below zero, so it counts as one that is not open.
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-' .. ARGV[3], ARGV[3])
local open = redis.call('ZCOUNT', KEYS[3], '(' .. ARGV[3], '+inf')
if open >= tonumber(ARGV[2]) - redis.call('ZCARD', KEYS[2]) then return 'full' end
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[4])
-- Open ones have the highest scores. Of the withdrawn ones a hundred are enough for repeats.
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[2] - 101)
if redis.call('TTL', KEYS[3]) < tonumber(ARGV[6]) then redis.call('EXPIRE', KEYS[3], ARGV[6]) end
return 'created'
