-- Erases what records of the audit chain say, where they are still there.
--
-- KEYS  1 log
-- ARGV  1… seq, the record without what it said, seq, record, …
-- gives how many
local done = 0
for at = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[at]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    done = done + 1
  end
end
return done
