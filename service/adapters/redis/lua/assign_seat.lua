#!lua flags=allow-oom
-- Assign a seat while one is free, by an admin or by an invitation: two requests at once never both get the last one.
--
-- KEYS  1 object   2 seats   3 removed   4 fan-out queue   5 outbox   6 invitations   7 accepted   (one slot)
-- ARGV  1 rev that the quantity was computed from   2 quantity   3 reader   4 now (ms)   5 name   6 audit entry, or ''
--       7 invitation, or ''
-- Returns 'given' | 'full' | 'retry' (the object has changed meanwhile) | 'again' (the reader has a seat; with an invitation:
--         they have it by this one) | 'held' (they have another seat; the invitation stays open)
--         | 'closed' (the invitation is used, withdrawn, expired or unknown)
if tonumber(redis.call('HGET', KEYS[1], 'rev') or '0') ~= tonumber(ARGV[1]) then return 'retry' end
local has_seat = redis.call('ZSCORE', KEYS[2], ARGV[3])
if ARGV[7] ~= '' then
  local used = redis.call('HGET', KEYS[7], ARGV[3]) or ''
  if has_seat and string.find(' ' .. used .. ' ', ' ' .. ARGV[7] .. ' ', 1, true) then return 'again' end
  if tonumber(redis.call('ZSCORE', KEYS[6], ARGV[7]) or '0') <= tonumber(ARGV[4]) then return 'closed' end
end
if has_seat then return ARGV[7] == '' and 'again' or 'held' end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then return 'full' end
-- The entry comes first: if it cannot be written, nothing is changed.
if ARGV[6] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[6]) end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
-- Each seat is newer than the one before, also within a millisecond: the newest are removed first.
redis.call('ZADD', KEYS[2], math.max(tonumber(ARGV[4]), last and tonumber(last) + 1 or 0), ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[3])
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[6], ARGV[7])
  redis.call('HSET', KEYS[7], ARGV[3], ARGV[7])
end
redis.call('HSET', KEYS[1], 'rev', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('ZADD', KEYS[4], 'NX', ARGV[4], ARGV[5])
return 'given'
