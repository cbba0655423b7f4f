#!lua flags=allow-oom
-- Remove marks of readers who were indexed, except those that were renewed meanwhile.
--
-- KEYS  1 announced, changed or imported (zset)
-- ARGV  reader and moment in turn
for at = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or '-1') == tonumber(ARGV[at + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
