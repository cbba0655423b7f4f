#!lua flags=allow-oom
-- Replace a partition of the index if it is still what the caller has read.
--
-- KEYS  1 partition
-- ARGV  1 its revision as read ('' = there was none)   2 the new partition ('' = nobody is left in it)
-- Returns 1 | 0 another process has replaced it
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
