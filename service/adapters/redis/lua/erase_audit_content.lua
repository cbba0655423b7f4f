-- Replace records of the audit chain by records without content, where they still exist.
--
-- KEYS  1 log
-- ARGV  1… seq, record without content, seq, record, …
-- Returns the number of records replaced
local done = 0
for at = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[at]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    done = done + 1
  end
end
return done
