-- Changes one field of a hash that there is one of, if it is still what the caller saw; with it goes an audit entry.
--
-- KEYS  1 hash   2 outbox            (one slot)
-- ARGV  1 field  2 what was seen ('' = nothing)   3 what is to be there ('' = nothing)   4 audit entry ('' = none)
-- gives 1 done | 0 it is something else by now
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
if ARGV[4] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[4]) end
return 1
