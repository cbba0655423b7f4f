-- Writes a chunk of an import anew: by who has the lease, or, while nothing is committed, by anybody.
--
-- KEYS  1 import   2 rows                                                                    (one slot)
-- ARGV  1 who asks   2 state that it must be in   3 chunk   4 what it is to hold
-- gives 1, or 0 = it is another's now, or in another state
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 'state', 'holder', 'lease')
if h[1] ~= ARGV[2] then return 0 end
if h[1] ~= 'staged' and (h[2] ~= ARGV[1] or tonumber(h[3] or '0') <= now) then return 0 end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
return 1
