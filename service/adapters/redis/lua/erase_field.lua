-- Writes one field of a hash anew, if it still is what the caller saw.
--
-- KEYS  1 hash
-- ARGV  1 field   2 what was seen   3 what is to be there ('' = nothing)
-- gives 1, or 0 = it is something else by now
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
