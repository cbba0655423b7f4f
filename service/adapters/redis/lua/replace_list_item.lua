#!lua flags=allow-oom
-- Replace one item of a list if it is still what the caller saw.
--
-- KEYS  1 list
-- ARGV  1 item that was seen   2 new item
-- Returns 1 replaced | 0 the item is gone
local at = redis.call('LPOS', KEYS[1], ARGV[1])
if not at then return 0 end
redis.call('LSET', KEYS[1], at, ARGV[2])
return 1
