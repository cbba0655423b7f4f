#!lua flags=allow-oom
-- Take an object's next number before it is read from Stripe. The lease only saves reads; no rule depends on it. One that
-- ends long after a new one would was taken before the clock went back, and counts as expired.
--
-- KEYS  1 object   2 refresh queue                                                           (one slot)
-- ARGV  1 now (ms)   2 lease until (ms)   3 '1' = regardless of who holds the lease   4 '1' = the object must be read after this
--       5 name   6 the number under which the caller holds the lease already (0 = none)
-- Returns {number, 1 = the caller has the lease}
local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], 'want', n)
  redis.call('ZADD', KEYS[2], 'NX', ARGV[1], ARGV[5])
end
local h = redis.call('HMGET', KEYS[1], 'lease', 'holder')
local lease, now, new = tonumber(h[1] or '0'), tonumber(ARGV[1]), tonumber(ARGV[2])
if lease <= now or (new > 0 and lease > 2 * new - now) or ARGV[3] == '1' or h[2] == ARGV[6] then
  redis.call('HSET', KEYS[1], 'lease', ARGV[2], 'holder', n)
  return {n, 1}
end
return {n, 0}
