#!lua flags=allow-oom
-- Mark readers as changed: they have to be indexed again.
--
-- KEYS  1 announced (zset)   2 changed or imported (zset)                                    (one slot)
-- ARGV  1 the moment at which this write was announced (µs; 0 = it was not)   2… readers
-- An announcement stays if another process has announced a write of the same reader since.
local time = redis.call('TIME')
local moment = time[1] * 1000000 + time[2]
for at = 2, #ARGV do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or '-1') == tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[1], ARGV[at])
  end
  redis.call('ZADD', KEYS[2], moment, ARGV[at])
end
