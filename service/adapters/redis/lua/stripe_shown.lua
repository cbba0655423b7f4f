-- Notes which copies have been put; with the last ones also that the object is shown everywhere as it is.
--
-- KEYS  1 object   2 held   3 unspread                                                       (one slot)
-- ARGV  1 rev that was put   2 name   3 '1' = these were the last   4 how many hold it   5… holders, then those that hold it no more
-- gives 1, or 0 = the object was changed meanwhile (what was put is noted all the same, nobody is let go)
local rev, holders = tonumber(ARGV[1]), tonumber(ARGV[4])
for at = 5, 4 + holders do redis.call('ZADD', KEYS[2], 'GT', rev, ARGV[at]) end
if tonumber(redis.call('HGET', KEYS[1], 'rev') or '0') ~= rev then return 0 end
for at = 5 + holders, #ARGV do redis.call('ZREM', KEYS[2], ARGV[at]) end
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'shown', rev)
  redis.call('ZREM', KEYS[3], ARGV[2])
end
return 1
