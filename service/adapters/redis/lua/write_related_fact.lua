#!lua flags=allow-oom
-- Write what another object states about an object, with the other one's number; a lower number never replaces a higher.
--
-- KEYS  1 object   2 fan-out queue   3 refresh queue                                         (one slot)
-- ARGV  1 field   2 number   3 value   4 now (ms)   5 name   6 '1' = it is from a payload: to be read, unconfirmed until then
-- Returns 1 = it is new | 0
local field, n = ARGV[1], tonumber(ARGV[2])
local h = redis.call('HMGET', KEYS[1], field .. '#', field, 'doc')
if h[1] and tonumber(h[1]) >= n then return 0 end
redis.call('HSET', KEYS[1], field .. '#', ARGV[2])
if h[2] == ARGV[3] then return 0 end
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], field, ARGV[3], 'rev', rev, 'facts', rev)
if ARGV[6] == '1' then
  redis.call('HSET', KEYS[1], 'want', rev)
  if h[3] then redis.call('HSET', KEYS[1], 'confirmed', 0) end
  redis.call('ZADD', KEYS[3], 'NX', ARGV[4], ARGV[5])
end
redis.call('ZADD', KEYS[2], 'NX', ARGV[4], ARGV[5])
return 1
