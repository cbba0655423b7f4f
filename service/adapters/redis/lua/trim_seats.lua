#!lua flags=allow-oom
-- Remove the newest seats if there are more than are paid for.
--
-- KEYS  1 object   2 seats   3 removed   4 fan-out queue   5 accepted                        (one slot)
-- ARGV  1 rev that the quantity was computed from   2 quantity   3 now (ms)   4 name   5 most kept in removed
-- Returns the number of seats removed
if tonumber(redis.call('HGET', KEYS[1], 'rev') or '0') ~= tonumber(ARGV[1]) then return 0 end
local gone = redis.call('ZRANGE', KEYS[2], ARGV[2], -1, 'WITHSCORES')
if #gone == 0 then return 0 end
for at = 1, #gone, 2 do
  redis.call('ZREM', KEYS[2], gone[at])
  redis.call('HDEL', KEYS[5], gone[at])
  redis.call('ZADD', KEYS[3], gone[at + 1], gone[at])
end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'rev', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('ZADD', KEYS[4], 'NX', ARGV[3], ARGV[4])
return #gone / 2
