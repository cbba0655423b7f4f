#!lua flags=allow-oom
-- Record which copies were written; with the last ones also that all copies are up to date.
--
-- KEYS  1 object   2 copy holders   3 fan-out queue                                          (one slot)
-- ARGV  1 rev that was written   2 name   3 '1' = these were the last   4 number of holders   5… holders, then former holders
-- Returns 1 | 0 the object has changed meanwhile (the holders are recorded all the same, former ones stay)
local rev, holders = tonumber(ARGV[1]), tonumber(ARGV[4])
for at = 5, 4 + holders do redis.call('ZADD', KEYS[2], 'GT', rev, ARGV[at]) end
if tonumber(redis.call('HGET', KEYS[1], 'rev') or '0') ~= rev then return 0 end
for at = 5 + holders, #ARGV do redis.call('ZREM', KEYS[2], ARGV[at]) end
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'shown', rev)
  redis.call('ZREM', KEYS[3], ARGV[2])
end
return 1
