#!lua flags=allow-oom
-- Replace records of the audit chain, each if it is still what the caller read.
--
-- KEYS  1 log
-- ARGV  1… seq, record that was read, new record, seq, …
-- Returns the numbers (seq) of the records that are no longer what was read
local others = {}
for at = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  else
    others[#others + 1] = tonumber(ARGV[at])
  end
end
return others
