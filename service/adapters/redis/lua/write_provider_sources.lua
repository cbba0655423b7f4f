#!lua flags=allow-oom
-- Write entries of a provider's sources; an entry with a lower number never replaces one with a higher.
--
-- KEYS  1 sources (hash)
-- ARGV  1… three for each source: ID, number, entry
-- Returns for each source the entry before, if it was replaced, else the one in force; '' = there was none
local found = {}
for at = 1, #ARGV, 3 do
  local before = redis.call('HGET', KEYS[1], ARGV[at]) or ''
  local have = before ~= '' and tonumber(string.match(before, '^%[%d+,(%d+)')) or 0
  if have < tonumber(ARGV[at + 1]) then redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2]) end
  found[#found + 1] = before
end
return found
