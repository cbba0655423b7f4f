#!lua flags=allow-oom
-- Replace one field of a hash if it is still what the caller saw; for a change by an admin with an audit entry.
--
-- KEYS  1 hash    2 outbox, where there can be an entry                                      (one slot)
-- ARGV  1 field   2 value that was seen ('' = none)   3 new value ('' = delete the field)   4 audit entry, or ''
-- Returns 1 replaced | 0 the field has changed meanwhile
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
-- The entry comes first: if it cannot be written, nothing is changed.
if KEYS[2] and ARGV[4] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[4]) end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
