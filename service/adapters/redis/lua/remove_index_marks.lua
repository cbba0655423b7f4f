#!lua flags=allow-oom
-- Remove marks of readers who were indexed, except those that were renewed meanwhile.
--
-- KEYS  1 announced, changed or imported (zset)
-- ARGV  reader and moment in turn
-- Returns how many were removed
local removed = 0
for at = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or '-1') == tonumber(ARGV[at + 1]) then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
return removed
