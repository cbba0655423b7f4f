#!lua flags=allow-oom
-- Give an object a new number, so that its copies are written again.
--
-- KEYS  1 object   2 fan-out queue   3 refresh queue                                         (one slot)
-- ARGV  1 now (ms)   2 name   3 the number must exceed this one, which a copy has (then the object fell behind: read it again)
if redis.call('EXISTS', KEYS[1]) == 0 then return end
local least = tonumber(ARGV[3])
if least > 0 then
  if tonumber(redis.call('HGET', KEYS[1], 'n') or '0') < least then redis.call('HSET', KEYS[1], 'n', least) end
  redis.call('ZADD', KEYS[3], 'NX', ARGV[1], ARGV[2])
end
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'rev', rev, 'facts', rev)
if least > 0 then redis.call('HSET', KEYS[1], 'want', rev, 'behind', 1) end
redis.call('ZADD', KEYS[2], 'NX', ARGV[1], ARGV[2])
