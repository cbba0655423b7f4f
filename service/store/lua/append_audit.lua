-- Appends records to the audit chain, if it still ends where the caller saw it end.
--
-- KEYS  1 log (hash: seq → record)   2 head (hash: seq, hash, first)   3 seen (sorted set: entry id → time)
-- ARGV  1 the seq seen   2 now   3 hash of the last record given   4… id, record, id, record, …
-- gives {1 appended | 0 the chain has grown meanwhile | -1 one of them is in it already, the seq that stands}
local seq = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
if seq ~= tonumber(ARGV[1]) then return {0, seq} end
for at = 4, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[3], ARGV[at]) then return {-1, seq} end
end
for at = 4, #ARGV, 2 do
  seq = seq + 1
  redis.call('HSET', KEYS[1], seq, ARGV[at + 1])
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[at])
end
redis.call('HSET', KEYS[2], 'seq', seq, 'hash', ARGV[3])
redis.call('HSETNX', KEYS[2], 'first', 1)
return {1, seq}
