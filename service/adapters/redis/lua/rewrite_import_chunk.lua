#!lua flags=allow-oom
-- Rewrite a chunk of an import: by the holder of the lease or, before the import is committed, by any process.
--
-- KEYS  1 import   2 rows                                                                    (one slot)
-- ARGV  1 holder   2 state that the import must be in   3 chunk   4 new content
-- Returns 1 written | 0 another process holds the lease now, or the state is another one
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 'state', 'holder', 'lease')
if h[1] ~= ARGV[2] then return 0 end
if h[1] ~= 'staged' and (h[2] ~= ARGV[1] or tonumber(h[3] or '0') <= now) then return 0 end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
return 1
