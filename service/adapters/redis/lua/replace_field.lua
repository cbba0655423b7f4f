#!lua flags=allow-oom
-- Replace one field of a hash if it is still what the caller saw.
--
-- KEYS  1 hash
-- ARGV  1 field   2 value that was seen   3 new value ('' = delete the field)
-- Returns 1 replaced | 0 the field has changed meanwhile
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
