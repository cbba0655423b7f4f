#!lua flags=no-writes
-- Read all of a reader that changes together, at one moment.
--
-- KEYS  1 reader (hash)   2 past (hash)   3 history (list)   4 outbox (list)                 (one slot)
-- ARGV  1 '1' = only if there is no history: the call for the history's key returns the others
-- Returns the four contents; an empty row for a missing key, and for all of them where another call returns them
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then return {{}, {}, {}, {}} end
return {
  redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]),
  redis.call('LRANGE', KEYS[3], 0, -1), redis.call('LRANGE', KEYS[4], 0, -1),
}
