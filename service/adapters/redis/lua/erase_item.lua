-- Writes one item of a list anew, where it still is what the caller saw.
--
-- KEYS  1 list
-- ARGV  1 what was seen   2 what is to be there
-- gives 1, or 0 = it is there no more
local at = redis.call('LPOS', KEYS[1], ARGV[1])
if not at then return 0 end
redis.call('LSET', KEYS[1], at, ARGV[2])
return 1
