#!lua flags=allow-oom
-- Return the number of a provider's next report, which is higher than every number before.
--
-- KEYS  1 state (hash)
-- It follows the server's clock (ms): after a restored backup or a lossy failover it is still above what readers hold.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'number') or '0') + 1)
redis.call('HSET', KEYS[1], 'number', string.format('%.0f', number))
return number
