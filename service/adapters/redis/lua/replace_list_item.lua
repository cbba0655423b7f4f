#!lua flags=allow-oom
-- Replace one item of a list if it is still what the caller saw.
--
-- KEYS  1 list
-- ARGV  1 item that was seen   2 new item
local at = redis.call('LPOS', KEYS[1], ARGV[1])
if at then redis.call('LSET', KEYS[1], at, ARGV[2]) end
