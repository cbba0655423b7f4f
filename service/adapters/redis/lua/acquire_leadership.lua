#!lua flags=allow-oom
-- Acquire or renew the leadership. One process has it; a dead leader's lease runs out. A lease that has more time left than a
-- new one gets was taken before the server's clock went back, and counts as expired.
--
-- KEYS  1 leader
-- ARGV  1 process   2 length of the lease (ms)   3 '1' = release it
-- Returns 1 = the caller leads
local leads = redis.call('GET', KEYS[1])
if leads and leads ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
