#!lua flags=allow-oom
-- Append records to the audit chain if its head is still what the caller saw; never overwrite a record.
--
-- KEYS  1 log (hash: seq → record)   2 head (hash: seq, hash, checkpoint)   3 seen (sorted set: entry id → seq)
-- ARGV  1 the head's seq as seen ('' = none)   2 the seq to append behind   3 hash of the last record
--       4… id, record, id, record, …
-- Returns 1 appended | 0 the chain has grown meanwhile | -1 one of the entries is in it already | -2 a record is in the way
local seq = tonumber(ARGV[2])
if (redis.call('HGET', KEYS[2], 'seq') or '') ~= ARGV[1] then return 0 end
for at = 4, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[3], ARGV[at]) then return -1 end
end
if redis.call('HEXISTS', KEYS[1], seq + 1) == 1 then return -2 end
for at = 4, #ARGV, 2 do
  seq = seq + 1
  redis.call('HSET', KEYS[1], seq, ARGV[at + 1])
  redis.call('ZADD', KEYS[3], seq, ARGV[at])
end
redis.call('HSET', KEYS[2], 'seq', seq, 'hash', ARGV[3])
return 1
