#!lua flags=allow-oom
-- Move the seat of a merged reader to the remaining one. If that one has a seat, the older of the two stays.
--
-- KEYS  1 object   2 seats   3 fan-out queue   4 accepted                                    (one slot)
-- ARGV  1 from   2 to   3 now (ms)   4 name
local since = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not since then return end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[2], 'LT', since, ARGV[2])
-- The remaining reader may repeat the acceptance of each invitation that either of the two used.
local used, own = redis.call('HGET', KEYS[4], ARGV[1]), redis.call('HGET', KEYS[4], ARGV[2])
if used then redis.call('HSET', KEYS[4], ARGV[2], own and own .. ' ' .. used or used) end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HSET', KEYS[1], 'rev', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[4])
