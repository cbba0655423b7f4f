#!lua flags=allow-oom
-- Record that processing events has failed here: they are retried later, and given up after a number of attempts.
--
-- KEYS  1 object   2 pending events   3 inbox   4 dead events   5 refresh queue   6… events  (one slot)
-- ARGV  1 now (ms)   2 name   3 most attempts   4 reason   5… ids
local now = tonumber(ARGV[1])
for at = 6, #KEYS do
  local id = ARGV[5 + at - 6]
  local state = redis.call('HGET', KEYS[at], 'state')
  if state == 'pending' then
    local tried = redis.call('HINCRBY', KEYS[at], 'attempts', 1)
    redis.call('HSET', KEYS[at], 'why', ARGV[4])
    if tried >= tonumber(ARGV[3]) then
      redis.call('HSET', KEYS[at], 'state', 'dead')
      redis.call('ZREM', KEYS[2], id)
      redis.call('ZREM', KEYS[3], id)
      redis.call('ZADD', KEYS[4], now, id)
      redis.call('ZADD', KEYS[5], 'NX', now, ARGV[2])
    else
      redis.call('ZADD', KEYS[3], now + 60000 * math.min(2 ^ (tried - 1), 60), id)
    end
  else
    if state ~= 'dead' then redis.call('ZREM', KEYS[2], id) end
    redis.call('ZREM', KEYS[3], id)
  end
end
redis.call('HDEL', KEYS[1], 'lease', 'holder')
