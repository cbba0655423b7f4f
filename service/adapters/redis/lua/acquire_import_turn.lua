#!lua flags=allow-oom
-- Acquire or renew the lease on an import, record the chunk that was done, and return what to do next.
--
-- KEYS  1 import   2 rows                                                                    (one slot)
-- ARGV  1 holder   2 length of the lease (ms)   3 seconds to keep a finished import
--       4 the state and 5 the chunk that was done ('' = none)   6 that chunk without what is no longer needed ('' = as it is)
--       7… counters and by how much to raise them
-- Returns {state: 'applying' | 'undoing' | 'busy' (another process has the lease) | 'idle' (nothing to do), chunk, end of the
--        lease (ms), content of the chunk ('' = it is gone)}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 'state', 'holder', 'lease', 'cursor', 'chunks')
local state, cursor, chunks = h[1], tonumber(h[4] or '0'), tonumber(h[5] or '0')
if state ~= 'applying' and state ~= 'undoing' then return {'idle', 0, 0, ''} end
local lease = tonumber(h[3] or '0')
-- A lease that ends after a new one would was taken before the server's clock went back, and counts as expired.
if h[2] ~= ARGV[1] and lease > now and lease <= now + ARGV[2] then return {'busy', cursor, lease, ''} end

-- Another process may have done the same chunk after this one's lease ran out; it counts once.
if ARGV[4] == state and tonumber(ARGV[5]) == cursor then
  cursor = cursor + 1
  redis.call('HSET', KEYS[1], 'cursor', cursor)
  if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], ARGV[5], ARGV[6]) end
  for at = 7, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
if cursor >= chunks then
  redis.call('HSET', KEYS[1], 'state', state == 'applying' and 'done' or 'undone')
  redis.call('HDEL', KEYS[1], 'holder', 'lease')
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  return {'idle', cursor, 0, ''}
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'lease', now + ARGV[2])
return {state, cursor, now + ARGV[2], redis.call('HGET', KEYS[2], cursor) or ''}
