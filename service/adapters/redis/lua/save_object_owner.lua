#!lua flags=allow-oom
-- Save the owner of an object if it is still what the caller saw, and who is about to hold a copy, before copies are written.
--
-- KEYS  1 object   2 copy holders                                                            (one slot)
-- ARGV  1 rev seen   2 owner (packed by `objects`)   3 owner without links ('' = the same)
--       4… who is about to hold a copy (letter:reader)
-- Returns the rev in force | 0 the object has changed meanwhile
local h = redis.call('HMGET', KEYS[1], 'rev', 'owner')
local rev = tonumber(h[1] or '0')
if rev ~= tonumber(ARGV[1]) then return 0 end
if (h[2] or '') ~= ARGV[2] then
  rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
  redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'rev', rev, 'facts', rev)
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'unlinked', ARGV[3]) else redis.call('HDEL', KEYS[1], 'unlinked') end
for at = 4, #ARGV do redis.call('ZADD', KEYS[2], 'NX', 0, ARGV[at]) end
return rev
