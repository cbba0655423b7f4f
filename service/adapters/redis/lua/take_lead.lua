-- Takes the lead, or keeps it: of many only one has it, and a dead one's place is free when its time has run off.
--
-- KEYS  1 leader
-- ARGV  1 who   2 for how long (ms)   3 '1' = let go of it
-- gives 1 = it is ours
local leads = redis.call('GET', KEYS[1])
if leads and leads ~= ARGV[1] then return 0 end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
